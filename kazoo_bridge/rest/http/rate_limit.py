"""Limits on how often clients may send requests, and wrong API keys."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from math import ceil

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.ip_addresses import address_group, rate_limit_key
from kazoo_bridge.token_bucket import TokenBucket

#: Buckets that one `KeyedTokenBuckets` keeps.
MAX_KEYS = 10_000


@define
class KeyedTokenBuckets:
    """One token bucket for each key, full at first.

    A bucket holds `burst` tokens and gets one back every `refill_interval` seconds. At most `MAX_KEYS`
    buckets are kept; the bucket that was used longest ago is dropped first.
    """

    _clock: IReactorTime
    burst: int
    refill_interval: float
    _buckets: OrderedDict[str | bytes, TokenBucket] = field(init=False, factory=OrderedDict)

    def __contains__(self, key: object) -> bool:
        return key in self._buckets

    def __len__(self) -> int:
        return len(self._buckets)

    def add(self, key: str | bytes) -> None:
        """Keep a bucket for the key: its own, or else a full one."""
        self._get_bucket(key)

    def take(self, key: str | bytes) -> int:
        """Take a token; returns 0, or without a token the whole seconds until there is one."""
        bucket = self._get_bucket(key)
        return 0 if bucket.take(self._clock.seconds()) else max(1, ceil(bucket.wait_time))

    def give_back(self, key: str | bytes) -> None:
        """Put a token back that was taken."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.give_back()

    def _get_bucket(self, key: str | bytes) -> TokenBucket:
        bucket = self._buckets.setdefault(key, TokenBucket(self.burst, self.refill_interval))
        self._buckets.move_to_end(key)
        while len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        return bucket


@define
class LoginThrottle:
    """Limits failed logins of each address: `burst` at once, and one every `refill_interval` seconds."""

    _clock: IReactorTime
    burst: int = 20
    refill_interval: float = 3.0
    _buckets: KeyedTokenBuckets = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._buckets = KeyedTokenBuckets(self._clock, self.burst, self.refill_interval)

    def take(self, address: str) -> int:
        """Count a login as failed before it is tried; returns 0, or the whole seconds to wait."""
        return self._buckets.take(address_group(address))

    def give_back(self, address: str) -> None:
        """Undo `take` after a successful login."""
        self._buckets.give_back(address_group(address))


@define
class RequestLimiter:
    """Limits the requests of each valid token, and of each network address.

    Each may send `burst` requests at once and `per_second` on average; `per_second` 0: no limit. A token has
    a bucket of its own only once it has proved valid, and until then its address is charged: otherwise a
    client that invents a token for each request would have no limit, and would push valid tokens out of the
    bounded memory.
    """

    _clock: IReactorTime
    per_second: int
    burst: int
    # Only digests of tokens are kept, under a key of this process.
    _digest_key: bytes = field(init=False, factory=lambda: secrets.token_bytes(32), repr=False)
    _tokens: KeyedTokenBuckets = field(init=False, repr=False)
    _addresses: KeyedTokenBuckets = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        refill_interval = 1 / (self.per_second or 1)
        self._tokens = KeyedTokenBuckets(self._clock, self.burst, refill_interval)
        self._addresses = KeyedTokenBuckets(self._clock, self.burst, refill_interval)

    def take(self, token: str | None, peer: object) -> int:
        """Count a request with `token` from `peer` (an `IAddress`); returns 0, or whole seconds to wait."""
        if not self.per_second:
            return 0
        digest = self._digest(token) if token else None
        if digest is not None and digest in self._tokens:
            return self._tokens.take(digest)
        return self._addresses.take(rate_limit_key(peer))

    def mark_authenticated(self, token: str) -> None:
        """Give a valid token its own bucket."""
        if self.per_second:
            self._tokens.add(self._digest(token))

    def _digest(self, token: str) -> bytes:
        return hashlib.blake2b(
            token.encode("utf-8", "surrogatepass"), key=self._digest_key, digest_size=16
        ).digest()
