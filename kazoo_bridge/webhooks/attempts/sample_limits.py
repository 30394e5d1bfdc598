"""How many samples an account may request."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import TooManySamples
from kazoo_bridge.token_bucket import KeyedTokenBuckets

#: One hook may have the samples of its account, divided by this.
_HOOK_SHARE = 4

_SECONDS_PER_MINUTE = 60.0


@define
class SampleLimits:
    """Permits `per_minute` samples to each account, as many at once after a pause; a quarter to a hook."""

    _clock: IReactorTime
    per_minute: int
    _accounts: KeyedTokenBuckets = field(init=False)
    _hooks: KeyedTokenBuckets = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._accounts = self._make_buckets(self.per_minute)
        self._hooks = self._make_buckets(max(1, self.per_minute // _HOOK_SHARE))

    def take(self, account_id: str, hook_id: str) -> None:
        """Count a sample; raises `TooManySamples`, and counts nothing, beyond a limit."""
        hook_key = f"{account_id}/{hook_id}"
        if wait := self._hooks.take(hook_key):
            raise TooManySamples(wait)
        if wait := self._accounts.take(account_id):
            self._hooks.give_back(hook_key)
            raise TooManySamples(wait)

    def _make_buckets(self, per_minute: int) -> KeyedTokenBuckets:
        return KeyedTokenBuckets(self._clock, per_minute, _SECONDS_PER_MINUTE / per_minute)
