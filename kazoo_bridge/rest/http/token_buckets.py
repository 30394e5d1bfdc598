"""Token buckets, one for each name: each starts full and is refilled as time goes by."""

from __future__ import annotations

from collections import OrderedDict
from math import ceil

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

#: How many names are remembered; those used longest ago are forgotten first.
MAX_KEYS = 10_000


@define
class _Bucket:
    tokens: float
    filled: float


@define
class KeyedTokenBuckets:
    """Each name may take `burst` times at once, and once more after every `refill_seconds`."""

    _clock: IReactorTime
    burst: int
    refill_seconds: float
    _buckets: OrderedDict[str | bytes, _Bucket] = field(init=False, factory=OrderedDict)

    def __contains__(self, name: object) -> bool:
        return name in self._buckets

    def __len__(self) -> int:
        return len(self._buckets)

    def add(self, name: str | bytes) -> None:
        """Remember the name, with a full bucket if it had none."""
        self._bucket(name, self._clock.seconds())

    def take(self, name: str | bytes) -> int:
        """Take one; 0 when there was one, else the whole seconds until there is."""
        now = self._clock.seconds()
        bucket = self._bucket(name, now)
        bucket.tokens = min(self.burst, bucket.tokens + max(now - bucket.filled, 0.0) / self.refill_seconds)
        bucket.filled = now
        if bucket.tokens < 1:
            return max(1, ceil((1 - bucket.tokens) * self.refill_seconds))
        bucket.tokens -= 1
        return 0

    def give_back(self, name: str | bytes) -> None:
        """Undo a `take`."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            bucket.tokens = min(self.burst, bucket.tokens + 1)

    def _bucket(self, name: str | bytes, now: float) -> _Bucket:
        bucket = self._buckets.setdefault(name, _Bucket(float(self.burst), now))
        self._buckets.move_to_end(name)
        while len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        return bucket
