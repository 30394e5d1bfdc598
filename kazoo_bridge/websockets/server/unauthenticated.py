"""The connections of clients that have not authenticated yet: bounded, in total and by address."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from kazoo_bridge.ip_addresses import address_group


@define(eq=False)
class UnauthenticatedConnection:
    """A place in `UnauthenticatedConnections`. `drop` aborts the connection at once."""

    drop: Callable[[], None]
    group: str
    is_proxy: bool


@define(eq=False)
class UnauthenticatedConnections:
    """Holds the connections that have not authenticated yet, from the TCP connection on.

    `max_total` limits all of them, `max_per_group` those of one `address_group` (each 0: no limit). A
    connection beyond a limit replaces the oldest one of its group, or of the group with the most
    connections: a client that authenticates is soon gone from here, one that only waits makes room.

    Each operation takes the same time, however many connections there are.
    """

    max_total: int
    max_per_group: int
    #: Connections that were dropped to make room.
    dropped: int = field(init=False, default=0)
    _groups: dict[str, dict[UnauthenticatedConnection, None]] = field(init=False, factory=dict)
    #: The groups by their number of connections, and the largest such number.
    _by_size: dict[int, dict[str, None]] = field(init=False, factory=dict)
    _largest: int = field(init=False, default=0)
    _total: int = field(init=False, default=0)

    def __len__(self) -> int:
        return self._total

    def add(
        self, address: str, drop: Callable[[], None], *, is_proxy: bool = False
    ) -> UnauthenticatedConnection:
        """Add a new connection; may drop another one.

        `is_proxy`: the address is a proxy's, so that `max_per_group` does not apply until `move`.
        """
        connection = UnauthenticatedConnection(drop, address_group(address), is_proxy)
        self._insert(connection)
        self._make_room(connection)
        return connection

    def move(self, connection: UnauthenticatedConnection, address: str, *, is_proxy: bool = False) -> None:
        """Count a connection for another address, which has become known; may drop another connection."""
        group = address_group(address)
        if connection not in self._groups.get(connection.group, ()):
            return
        if (group, is_proxy) != (connection.group, connection.is_proxy):
            self._delete(connection)
            connection.group, connection.is_proxy = group, is_proxy
            self._insert(connection)
            self._make_room(connection)

    def remove(self, connection: UnauthenticatedConnection) -> None:
        """Forget a connection that has authenticated, or is closed; does nothing the second time."""
        if connection in self._groups.get(connection.group, ()):
            self._delete(connection)

    def drop_all(self) -> None:
        """Drop all connections."""
        for group in list(self._groups.values()):
            for connection in list(group):
                self._delete(connection)
                connection.drop()

    def _make_room(self, newcomer: UnauthenticatedConnection) -> None:
        if (
            self.max_per_group
            and not newcomer.is_proxy
            and len(self._groups[newcomer.group]) > self.max_per_group
        ):
            self._drop_oldest(newcomer.group)
        if self.max_total and self._total > self.max_total:
            self._drop_oldest(next(iter(self._by_size[self._largest])))

    def _drop_oldest(self, group: str) -> None:
        oldest = next(iter(self._groups[group]))
        self._delete(oldest)
        self.dropped += 1
        oldest.drop()

    def _insert(self, connection: UnauthenticatedConnection) -> None:
        members = self._groups.setdefault(connection.group, {})
        self._resize(connection.group, len(members), len(members) + 1)
        members[connection] = None
        self._total += 1

    def _delete(self, connection: UnauthenticatedConnection) -> None:
        members = self._groups[connection.group]
        self._resize(connection.group, len(members), len(members) - 1)
        del members[connection]
        if not members:
            del self._groups[connection.group]
        self._total -= 1

    def _resize(self, group: str, old: int, new: int) -> None:
        if old:
            del self._by_size[old][group]
            if not self._by_size[old]:
                del self._by_size[old]
        if new:
            self._by_size.setdefault(new, {})[group] = None
        # Sizes change by one, so that there is a group of the next size below the largest, or none at all.
        self._largest = max(self._largest, new)
        if self._largest not in self._by_size:
            self._largest -= 1
