"""How many samples an account may request."""

from __future__ import annotations

from collections import OrderedDict
from math import ceil

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import TooManySamples
from kazoo_bridge.token_bucket import TokenBucket

#: One hook may have the samples of its account, divided by this.
_HOOK_SHARE = 4

#: Accounts, and hooks, that are remembered; what requested a sample longest ago is forgotten first.
_MAX_REMEMBERED = 10_000

_SECONDS_PER_MINUTE = 60.0


@define
class SampleLimits:
    """Permits `per_minute` samples to each account, as many at once after a pause; a quarter to a hook."""

    _clock: IReactorTime
    per_minute: int
    _buckets: OrderedDict[str, TokenBucket] = field(init=False, factory=OrderedDict)

    def take(self, account_id: str, hook_id: str) -> None:
        """Count a sample; raises `TooManySamples`, and counts nothing, beyond a limit."""
        now = self._clock.seconds()
        of_account = self._bucket(account_id, self.per_minute)
        of_hook = self._bucket(f"{account_id}/{hook_id}", max(1, self.per_minute // _HOOK_SHARE))
        if not of_hook.take(now):
            raise TooManySamples(_retry_after(of_hook))
        if not of_account.take(now):
            of_hook.give_back()
            raise TooManySamples(_retry_after(of_account))

    def _bucket(self, key: str, per_minute: int) -> TokenBucket:
        bucket = self._buckets.setdefault(key, TokenBucket(per_minute, _SECONDS_PER_MINUTE / per_minute))
        self._buckets.move_to_end(key)
        if len(self._buckets) > 2 * _MAX_REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket


def _retry_after(bucket: TokenBucket) -> int:
    return max(1, ceil(bucket.wait_time))
