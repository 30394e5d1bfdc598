"""How often an address may be wrong."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.ip_addresses import rate_limit_network
from kazoo_bridge.rest.http.token_buckets import KeyedTokenBuckets


@define
class LoginThrottle:
    """Each address may fail `burst` times at once, and once more after every `refill_seconds`."""

    _clock: IReactorTime
    burst: int = 20
    refill_seconds: float = 3.0
    _buckets: KeyedTokenBuckets = field(init=False)

    @_buckets.default
    def _full(self) -> KeyedTokenBuckets:
        return KeyedTokenBuckets(self._clock, self.burst, self.refill_seconds)

    def take(self, address: str) -> int:
        """Count a failure beforehand; 0 when the attempt may be made, else the whole seconds until one may."""
        return self._buckets.take(rate_limit_network(address))

    def give_back(self, address: str) -> None:
        """It was no failure."""
        self._buckets.give_back(rate_limit_network(address))
