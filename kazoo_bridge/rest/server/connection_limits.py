"""How many HTTP connections clients may have open."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.connection_counter import ConnectionCounter, ConnectionLimitReached

_log = Logger()

#: Seconds between two log lines about refused connections.
LOG_INTERVAL = 60.0


@define
class HttpConnectionLimits:
    """Counts open HTTP connections, and logs refused ones at most every `LOG_INTERVAL`."""

    _clock: IReactorTime
    _connections: ConnectionCounter
    _refused: int = field(init=False, default=0)
    _logged_at: float | None = field(init=False, default=None)

    def __len__(self) -> int:
        return self._connections.total

    def opened(self, address: str) -> bool:
        """Count a new connection; returns False, and counts nothing, at a limit."""
        try:
            self._connections.acquire(address)
        except ConnectionLimitReached:
            self._log_refused()
            return False
        return True

    def moved(self, old: str, new: str) -> bool:
        """Count an open connection for another address; returns False, and changes nothing, at a limit."""
        try:
            self._connections.move(old, new)
        except ConnectionLimitReached:
            self._log_refused()
            return False
        return True

    def closed(self, address: str) -> None:
        """Forget a connection that was counted for this address."""
        self._connections.release(address)

    def _log_refused(self) -> None:
        self._refused += 1
        now = self._clock.seconds()
        if self._logged_at is None or now - self._logged_at >= LOG_INTERVAL:
            _log.warn(
                "{refused} HTTP connections refused: {count} are open, "
                "see http.max_connections and http.max_connections_per_ip",
                refused=self._refused,
                count=len(self),
            )
            self._logged_at, self._refused = now, 0
