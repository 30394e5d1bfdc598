"""How often an address may be wrong: a bucket of tokens for each, refilled as time goes by."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from math import ceil

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

#: How many addresses are remembered; those that failed longest ago are forgotten first.
MAX_REMEMBERED = 10_000


@define
class _Bucket:
    tokens: float
    filled: float


@define
class FailureLimit:
    """Each address may fail `burst` times at once, and once more after every `refill_seconds`."""

    _clock: IReactorTime
    burst: int = 20
    refill_seconds: float = 3.0
    _buckets: OrderedDict[str, _Bucket] = field(init=False, factory=OrderedDict)

    def take(self, address: str) -> float:
        """Count a failure beforehand; 0.0 when the attempt may be made, else the seconds until one may."""
        now = self._clock.seconds()
        name = _network(address)
        bucket = self._buckets.setdefault(name, _Bucket(float(self.burst), now))
        self._buckets.move_to_end(name)
        while len(self._buckets) > MAX_REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self.burst, bucket.tokens + max(now - bucket.filled, 0.0) / self.refill_seconds)
        bucket.filled = now
        if bucket.tokens < 1:
            return float(ceil((1 - bucket.tokens) * self.refill_seconds))
        bucket.tokens -= 1
        return 0.0

    def give_back(self, address: str) -> None:
        """It was no failure."""
        bucket = self._buckets.get(_network(address))
        if bucket is not None:
            bucket.tokens = min(self.burst, bucket.tokens + 1)


def _network(address: str) -> str:
    """IPv4 addresses count alone, IPv6 addresses with all of their /64, which one host has for itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
