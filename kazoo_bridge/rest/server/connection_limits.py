"""Limits on the number of open HTTP connections."""

from __future__ import annotations

from collections import Counter

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Seconds between two log lines about refused connections.
LOG_INTERVAL = 60.0


@define
class ConnectionCounter:
    """Counts open connections: at most `limit` in total and `limit_per_address` of each address; 0: no limit."""

    _clock: IReactorTime
    limit: int
    limit_per_address: int
    _count_by_address: Counter[str] = field(init=False, factory=Counter)
    _count: int = field(init=False, default=0)
    _refused: int = field(init=False, default=0)
    _logged_at: float | None = field(init=False, default=None)

    def __len__(self) -> int:
        return self._count

    def opened(self, address: str) -> bool:
        """Count a connection; returns False, and does not count it, at a limit."""
        if (self.limit and self._count >= self.limit) or self._is_full(address):
            self._log_refused()
            return False
        self._count += 1
        self._count_by_address[address] += 1
        return True

    def moved(self, old: str, new: str) -> bool:
        """Count an open connection under another address; returns False, and changes nothing, at its limit."""
        if old == new:
            return True
        if self._is_full(new):
            self._log_refused()
            return False
        self._decrement(old)
        self._count_by_address[new] += 1
        return True

    def closed(self, address: str) -> None:
        """Stop counting a connection that was counted under `address`."""
        self._count -= 1
        self._decrement(address)

    def _is_full(self, address: str) -> bool:
        return bool(self.limit_per_address) and self._count_by_address[address] >= self.limit_per_address

    def _decrement(self, address: str) -> None:
        self._count_by_address[address] -= 1
        if not self._count_by_address[address]:
            del self._count_by_address[address]

    def _log_refused(self) -> None:
        self._refused += 1
        now = self._clock.seconds()
        if self._logged_at is None or now - self._logged_at >= LOG_INTERVAL:
            _log.warn(
                "HTTP connections refused count={refused} open={count}: see http.max_connections and"
                " http.max_connections_per_ip",
                refused=self._refused,
                count=self._count,
            )
            self._logged_at, self._refused = now, 0
