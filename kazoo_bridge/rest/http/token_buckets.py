"""Token buckets, one for each name: each starts full and is refilled as time goes by."""

from __future__ import annotations

from collections import OrderedDict
from math import ceil

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.token_bucket import TokenBucket

#: How many names are remembered; those used longest ago are forgotten first.
MAX_KEYS = 10_000


@define
class KeyedTokenBuckets:
    """Each name may take `burst` times at once, and once more after every `refill_seconds`."""

    _clock: IReactorTime
    burst: int
    refill_seconds: float
    _buckets: OrderedDict[str | bytes, TokenBucket] = field(init=False, factory=OrderedDict)

    def __contains__(self, name: object) -> bool:
        return name in self._buckets

    def __len__(self) -> int:
        return len(self._buckets)

    def add(self, name: str | bytes) -> None:
        """Remember the name, with a full bucket if it had none."""
        self._bucket(name)

    def take(self, name: str | bytes) -> int:
        """Take one; 0 when there was one, else the whole seconds until there is."""
        bucket = self._bucket(name)
        return 0 if bucket.take(self._clock.seconds()) else max(1, ceil(bucket.wait_time))

    def give_back(self, name: str | bytes) -> None:
        """Undo a `take`."""
        bucket = self._buckets.get(name)
        if bucket is not None:
            bucket.give_back()

    def _bucket(self, name: str | bytes) -> TokenBucket:
        bucket = self._buckets.setdefault(name, TokenBucket(self.burst, self.refill_seconds))
        self._buckets.move_to_end(name)
        while len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        return bucket
