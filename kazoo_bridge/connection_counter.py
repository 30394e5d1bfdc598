"""Counts open connections, in total and by client network, and enforces limits on both."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

from kazoo_bridge.ip_addresses import address_group


class ConnectionLimitReached(Exception):
    """A limit on connections is reached. `per_network`: that of the client's network, not the total."""

    def __init__(self, *, per_network: bool) -> None:
        super().__init__("too many connections" + (" from this address" if per_network else ""))
        self.per_network = per_network


@define(eq=False)
class ConnectionCounter:
    """Counts open connections.

    `max_total` limits all connections, `max_per_network` those of one `address_group`: an IPv4 address
    or an IPv6 /64 (each 0: no limit). Hosts are IP addresses as text, or any other name of a client.
    """

    max_total: int
    max_per_network: int
    #: Open connections.
    total: int = field(init=False, default=0)
    _open: Counter[str] = field(init=False, factory=Counter)

    def acquire(self, host: str) -> None:
        """Count a new connection; raises `ConnectionLimitReached`, and counts nothing, at a limit."""
        if self.max_total and self.total >= self.max_total:
            raise ConnectionLimitReached(per_network=False)
        self._add(address_group(host))
        self.total += 1

    def move(self, old_host: str, new_host: str) -> None:
        """Count an open connection for `new_host` from now on.

        Raises `ConnectionLimitReached`, and changes nothing, at the limit of the network.

        For clients behind a proxy, whose address arrives after the connection is counted.
        """
        old, new = address_group(old_host), address_group(new_host)
        if old != new:
            self._add(new)
            self._remove(old)

    def release(self, host: str) -> None:
        """Forget a connection that was counted for `host` and is closed."""
        self._remove(address_group(host))
        self.total -= 1

    def _add(self, network: str) -> None:
        if self.max_per_network and self._open[network] >= self.max_per_network:
            raise ConnectionLimitReached(per_network=True)
        self._open[network] += 1

    def _remove(self, network: str) -> None:
        self._open[network] -= 1
        if self._open[network] <= 0:
            del self._open[network]
