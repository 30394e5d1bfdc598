"""Token buckets: limit rates, and allow bursts."""

from __future__ import annotations

from collections import OrderedDict
from math import ceil

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

#: Buckets that one `KeyedTokenBuckets` keeps.
MAX_KEYS = 10_000


@define(eq=False)
class TokenBucket:
    """Starts full with `burst` tokens; one token returns every `refill_interval` seconds, up to `burst`.

    Times are in seconds of any clock that does not run backwards.
    """

    burst: int
    refill_interval: float
    _tokens: float = field(init=False)
    _updated_at: float = field(init=False, default=0.0)

    @_tokens.default
    def _initial_tokens(self) -> float:
        return float(self.burst)

    def take(self, now: float) -> bool:
        """Take a token.

        `now` is the current time. Returns False, and takes nothing, if there is no whole token.
        """
        if not self.has_token(now):
            return False
        self._tokens -= 1
        return True

    def has_token(self, now: float) -> bool:
        """Return whether `take` would take a token at the current time `now`."""
        elapsed = max(now - self._updated_at, 0.0)
        self._tokens = min(float(self.burst), self._tokens + elapsed / self.refill_interval)
        self._updated_at = now
        return self._tokens >= 1

    def charge(self, tokens: float, now: float) -> None:
        """Take tokens for work that is done in any case, into a debt of at most `burst` tokens."""
        self.has_token(now)
        self._tokens = max(-float(self.burst), self._tokens - tokens)

    def give_back(self) -> None:
        """Return a token that was taken."""
        self._tokens = min(float(self.burst), self._tokens + 1)

    @property
    def wait_time(self) -> float:
        """Seconds from the latest `take` until there is a token; 0 if there is one."""
        return max(0.0, (1 - self._tokens) * self.refill_interval)


@define(eq=False)
class KeyedTokenBuckets:
    """One token bucket for each key, full at first; `burst` and `refill_interval` are as for `TokenBucket`.

    At most `max_keys` buckets are kept. The one that was used longest ago is forgotten first, and is full
    again.
    """

    _clock: IReactorTime
    burst: int
    refill_interval: float
    max_keys: int = MAX_KEYS
    _buckets: OrderedDict[str, TokenBucket] = field(init=False, factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._buckets)

    def change_rate(self, burst: int, refill_interval: float) -> None:
        """Use another rate from now on, for the buckets that are kept, too; what was taken stays taken."""
        self.burst, self.refill_interval = burst, refill_interval
        for bucket in self._buckets.values():
            bucket.burst, bucket.refill_interval = burst, refill_interval

    def take(self, key: str, cost: int = 1) -> int:
        """Take a token; returns 0, or without a token the whole seconds until there is one.

        What `cost` is more than one is taken too, into a debt if there are not as many.
        """
        bucket, now = self.bucket(key), self._clock.seconds()
        if not bucket.take(now):
            return max(1, ceil(bucket.wait_time))
        if cost > 1:
            bucket.charge(cost - 1, now)
        return 0

    def give_back(self, key: str) -> None:
        """Put a token back that was taken."""
        bucket = self.find(key)
        if bucket is not None:
            bucket.give_back()

    def find(self, key: str) -> TokenBucket | None:
        """Return the bucket of a key; None if it is not kept, and so is full."""
        return self._buckets.get(key)

    def bucket(self, key: str) -> TokenBucket:
        """Return the bucket of a key, to be used now."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self.burst, self.refill_interval)
            if len(self._buckets) > self.max_keys:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket
