"""Limits on HTTP connections: in total, by address, and of connections with a request under way.

A client that only keeps connections open cannot lock others out. At a limit, a new connection takes the
place of one that waits for a request: of the address with most of them, the one that has waited longest. A
share of all connections (`WAITING_SHARE`) can never be busy, so there is always one that waits.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.config import Http
from kazoo_bridge.log_throttle import LogThrottle

_log = Logger()

#: The part of `ChannelLimits.max_total` that is kept for connections without a complete request.
WAITING_SHARE = 0.1


class Sheddable(Protocol):
    """A connection that can be closed to make room."""

    def shed(self) -> None:
        """Close the connection; it is no longer counted."""


@define(eq=False)
class ChannelLimits:
    """Counts the connections of all clients, and decides which of them may stay.

    `request_timeout` is in seconds, from a request's first byte to its last. `max_total` limits all
    connections, `max_per_address` those of one address (each 0: no limit). An address is what
    `rate_limit_key` returns. Connections that were closed or refused are logged at most every minute.
    """

    _clock: IReactorTime
    request_timeout: float
    max_total: int
    max_per_address: int
    _addresses: dict[Sheddable, str] = field(init=False, factory=dict)
    _open: Counter[str] = field(init=False, factory=Counter)
    # Dictionaries, because they keep the order in which connections began to wait.
    _waiting: dict[str, dict[Sheddable, None]] = field(init=False, factory=dict)
    _waiting_count: int = field(init=False, default=0)
    _refusals: LogThrottle = field(init=False)
    _sheds: LogThrottle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._refusals = LogThrottle(self._clock, self._log_refusals)
        self._sheds = LogThrottle(self._clock, self._log_sheds)

    @classmethod
    def from_config(cls, clock: IReactorTime, http: Http) -> ChannelLimits:
        """Return the limits of the configuration."""
        return cls(clock, http.request_timeout_s, http.max_connections, http.max_connections_per_ip)

    def configure(self, http: Http) -> None:
        """Use the limits of the configuration from now on. Connections beyond them stay open."""
        self.request_timeout = http.request_timeout_s
        self.max_total, self.max_per_address = http.max_connections, http.max_connections_per_ip

    def opened(self, connection: Sheddable, address: str) -> bool:
        """Count a new connection, which waits for a request.

        Returns False, and counts nothing, if no other connection makes room.
        """
        if not self._make_room_at(address):
            return False
        if self.max_total and len(self._addresses) >= self.max_total:
            fullest = max(self._waiting.values(), key=len, default=None)
            if fullest is None:
                self._refusals.count(address)
                return False
            self._shed(fullest)
        self._addresses[connection] = address
        self._open[address] += 1
        self._add_waiting(connection, address)
        return True

    def moved(self, connection: Sheddable, address: str) -> bool:
        """Count an open connection for another address; returns False, and changes nothing, at its limit.

        For clients behind a proxy, whose address arrives after the connection is counted.
        """
        old = self._addresses.get(connection)
        if old is None or old == address:
            return True
        if not self._make_room_at(address):
            return False
        is_waiting = self._remove_waiting(connection, old)
        self._forget_address(old)
        self._addresses[connection] = address
        self._open[address] += 1
        if is_waiting:
            self._add_waiting(connection, address)
        return True

    def busy(self, connection: Sheddable) -> bool:
        """Protect a connection whose request is complete.

        Returns False, if too many connections are busy already: then the request must be refused at once.
        """
        address = self._addresses.get(connection)
        if address is not None:
            self._remove_waiting(connection, address)
        busy = len(self._addresses) - self._waiting_count
        return not self.max_total or busy <= max(1, int(self.max_total * (1 - WAITING_SHARE)))

    def waits(self, connection: Sheddable) -> None:
        """Let a connection make room for others again: it has its response, and waits for a request."""
        address = self._addresses.get(connection)
        if address is not None:
            self._remove_waiting(connection, address)
            self._add_waiting(connection, address)

    def closed(self, connection: Sheddable) -> None:
        """Forget a connection; does nothing if it is not counted."""
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._remove_waiting(connection, address)
            self._forget_address(address)

    def stop(self) -> None:
        """Leave no delayed call."""
        self._refusals.stop()
        self._sheds.stop()

    def _make_room_at(self, address: str) -> bool:
        if not self.max_per_address or self._open[address] < self.max_per_address:
            return True
        waiting = self._waiting.get(address)
        if waiting is None:
            self._refusals.count(address)
            return False
        self._shed(waiting)
        return True

    def _shed(self, waiting: dict[Sheddable, None]) -> None:
        connection = next(iter(waiting))
        self.closed(connection)
        connection.shed()
        self._sheds.count()

    def _add_waiting(self, connection: Sheddable, address: str) -> None:
        self._waiting.setdefault(address, {})[connection] = None
        self._waiting_count += 1

    def _remove_waiting(self, connection: Sheddable, address: str) -> bool:
        waiting = self._waiting.get(address, {})
        if connection not in waiting:
            return False
        del waiting[connection]
        self._waiting_count -= 1
        if not waiting:
            del self._waiting[address]
        return True

    def _forget_address(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def _log_refusals(self, count: int, _address: str) -> None:
        _log.warn(
            "HTTP connections refused count={count} open={open}: see http.max_connections and"
            " http.max_connections_per_ip",
            count=count,
            open=len(self._addresses),
        )

    def _log_sheds(self, count: int, _example: str) -> None:
        _log.warn(
            "waiting HTTP connections closed for new ones count={count} open={open}: see http.max_connections"
            " and http.max_connections_per_ip",
            count=count,
            open=len(self._addresses),
        )
