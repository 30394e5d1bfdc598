"""Limits on how often clients may send requests, and wrong API keys."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.ip_addresses import address_group, rate_limit_key
from kazoo_bridge.token_bucket import MAX_KEYS, KeyedTokenBuckets

#: A request that may write, a login among them, takes as much time as so many reads.
WRITE_COST = 4


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
    """Limits the requests of each account, and of each network address.

    Each may send `burst` requests at once and `per_second` on average, of which one that may write counts
    as `WRITE_COST`; `per_second` 0: no limit. All tokens of an account are charged together. A token is
    charged to its account only once it has proved valid, and until then to its address: otherwise a client
    that invents a token for each request would have no limit, and would push valid tokens out of the bounded
    memory. Monitoring is charged to its address, too, but apart: other clients behind the same address do
    not keep it out. What is answered beyond a rate, too, because a refusal would cost as much, is counted
    apart as well, see `exceeds`.
    """

    _clock: IReactorTime
    per_second: int
    burst: int
    # Only digests of tokens are kept, under a key of this process.
    _digest_key: bytes = field(init=False, factory=lambda: secrets.token_bytes(32), repr=False)
    _accounts_of_tokens: OrderedDict[bytes, str] = field(init=False, factory=OrderedDict, repr=False)
    _accounts: KeyedTokenBuckets = field(init=False, repr=False)
    _monitoring: KeyedTokenBuckets = field(init=False, repr=False)
    _addresses: KeyedTokenBuckets = field(init=False, repr=False)
    _always_answered: KeyedTokenBuckets = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        refill_interval = 1 / (self.per_second or 1)
        self._accounts = KeyedTokenBuckets(self._clock, self.burst, refill_interval)
        self._monitoring = KeyedTokenBuckets(self._clock, self.burst, refill_interval)
        self._addresses = KeyedTokenBuckets(self._clock, self.burst, refill_interval)
        self._always_answered = KeyedTokenBuckets(self._clock, self.burst, refill_interval)

    def change_rate(self, per_second: int, burst: int) -> None:
        """Use another rate from now on."""
        self.per_second, self.burst = per_second, burst
        for buckets in (self._accounts, self._monitoring, self._addresses, self._always_answered):
            buckets.change_rate(burst, 1 / (per_second or 1))

    def take(self, token: str | None, peer: object, cost: int = 1) -> int:
        """Count a request with `token` from `peer` (an `IAddress`), which costs as much as `cost` reads.

        Returns 0, or whole seconds to wait.
        """
        if not self.per_second:
            return 0
        account_id = self._accounts_of_tokens.get(self._digest(token)) if token else None
        if account_id is not None:
            return self._accounts.take(account_id, cost)
        return self._addresses.take(rate_limit_key(peer), cost)

    def charge(self, account_id: str, cost: int) -> None:
        """Charge an account for a request that was counted once, and takes as much time as more of them."""
        if self.per_second:
            self._accounts.bucket(account_id).charge(cost, self._clock.seconds())

    def take_monitoring(self, peer: object) -> int:
        """Count a request of monitoring from `peer`; returns 0, or whole seconds to wait."""
        return self._monitoring.take(rate_limit_key(peer)) if self.per_second else 0

    def exceeds(self, peer: object) -> bool:
        """Count a request from `peer` that is answered in any case; returns whether it is one too many."""
        return bool(self.per_second and self._always_answered.take(rate_limit_key(peer)))

    def on_authenticated(self, token: str, account_id: str | None) -> None:
        """Charge the token to its account from now on; with None, it is not valid: to addresses."""
        if not self.per_second:
            return
        digest = self._digest(token)
        if account_id is None:
            self._accounts_of_tokens.pop(digest, None)
            return
        self._accounts_of_tokens[digest] = account_id
        self._accounts_of_tokens.move_to_end(digest)
        while len(self._accounts_of_tokens) > MAX_KEYS:
            self._accounts_of_tokens.popitem(last=False)

    def _digest(self, token: str) -> bytes:
        return hashlib.blake2b(
            token.encode("utf-8", "surrogatepass"), key=self._digest_key, digest_size=16
        ).digest()
