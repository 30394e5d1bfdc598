"""What operators ask of all nodes: how they are, and what happened to an event."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class INodes(Interface):
    """Asks every node on the bus, this one included. All methods fail with `BusUnavailable`."""

    def statuses() -> Deferred[Sequence[Mapping[str, Any]]]:
        """Return the status of each node that answers, by name."""

    def trace(wanted: str, accounts: Collection[str] | None) -> Deferred[Mapping[str, Any]]:
        """Return what all nodes and the storage know of an event.

        `wanted`: the id of a message, call, event or delivery. `accounts`: only what is about these accounts,
        and only their hooks; None: everything. Fails with `StorageUnavailable`, too.
        """
