"""How many connections clients may have open."""

from __future__ import annotations

from collections import Counter

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.log_throttle import LogThrottle

_log = Logger()


@define
class ConnectionCounter:
    """Counts open connections; there may be `limit` in all, and `limit_per_address` of one address (each 0: any number)."""

    _clock: IReactorTime
    limit: int
    limit_per_address: int
    _open: Counter[str] = field(init=False, factory=Counter)
    _count: int = field(init=False, default=0)
    _refused: LogThrottle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._refused = LogThrottle(self._clock, self._log_refused)

    def __len__(self) -> int:
        return self._count

    def opened(self, address: str) -> bool:
        """Count a connection; False, and it is not counted, when there may be no more."""
        if (self.limit and self._count >= self.limit) or self._is_full(address):
            self._refused.count()
            return False
        self._count += 1
        self._open[address] += 1
        return True

    def moved(self, old: str, new: str) -> bool:
        """Count an open connection under the address that it turned out to have; False, and nothing changes, when that has enough."""
        if old == new:
            return True
        if self._is_full(new):
            self._refused.count()
            return False
        self._decrement(old)
        self._open[new] += 1
        return True

    def closed(self, address: str) -> None:
        """A connection that was counted under this address is no more."""
        self._count -= 1
        self._decrement(address)

    def _is_full(self, address: str) -> bool:
        return bool(self.limit_per_address) and self._open[address] >= self.limit_per_address

    def _decrement(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def _log_refused(self, refused: int, _example: str) -> None:
        _log.warn(
            "{refused} HTTP connections refused: {count} are open, see http.max_connections and http.max_connections_per_ip",
            refused=refused,
            count=self._count,
        )
