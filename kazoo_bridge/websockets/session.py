"""One client: who it is, what it subscribes to, and the connection on which it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define, field

from kazoo_bridge.interfaces import ICallWatch, Principal
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.websockets.catalogue import CALLS
from kazoo_bridge.websockets.frames import EventFrame
from kazoo_bridge.websockets.index import Subscription
from kazoo_bridge.websockets.journal import Journal
from kazoo_bridge.websockets.rate import TokenBucket

#: (account id or ``*``, binding).
SubscriptionId = tuple[str, str]


class Outlet(Protocol):
    """A connection to a client."""

    def event(self, frame: EventFrame, sequenced: bool) -> None:
        """Send an event; it may be dropped when the client does not read."""

    def reply(self, text: bytes) -> None:
        """Send an answer."""

    def close(self, code: int, reason: str) -> None:
        """End the connection, after what was sent before."""


@define(eq=False)
class Session:
    """The state of one client. `started` and `heard` (when it last said something) are in Unix seconds.

    `source` is the client's address and `destination` this node's host. A session with a `journal` outlives its connection for a while:
    then `outlet` is None, since `left`.
    """

    id: str
    source: str
    destination: str
    started: float
    bucket: TokenBucket
    outlet: Outlet | None
    heard: float
    token: str | None = field(default=None, repr=False)
    principal: Principal | None = None
    name: str | None = None
    metadata: Any = None
    subscriptions: dict[SubscriptionId, Subscription] = field(factory=dict)
    calls: dict[str, ICallWatch] = field(factory=dict)
    journal: Journal | None = None
    left: float | None = None
    ended: bool = False

    def deliver(self, frame: EventFrame) -> None:
        """Take an event."""
        journal = self.journal
        if journal is not None:
            journal.add(frame)
        if self.outlet is not None:
            self.outlet.event(frame, journal is not None)

    @property
    def connected(self) -> bool:
        """Whether there is a connection; a session that waits for its client to come back has none."""
        return self.outlet is not None

    @property
    def account_id(self) -> str | None:
        """The account that the client speaks for, once it has authenticated."""
        return None if self.principal is None else self.principal.account_id

    @property
    def bindings(self) -> list[str]:
        """Everything the client is subscribed to, each binding once, in the order of subscribing."""
        asked = [binding for _, binding in self.subscriptions]
        return list(dict.fromkeys([*asked, *([CALLS] if self.calls else [])]))

    @property
    def count(self) -> int:
        """How many subscriptions there are."""
        return len(self.subscriptions) + len(self.calls)

    @property
    def accounts(self) -> set[str]:
        """The accounts (or ``*``) that the client hears of."""
        return {account for account, _ in self.subscriptions} | set(self.calls)

    def document(self) -> Mapping[str, Any]:
        """How the socket is listed, with KAZOO's own keys."""
        document = {
            "websocket_session_id": self.id,
            "bindings": self.bindings,
            "timestamp": to_gregorian(self.started),
            "name": self.name,
            "metadata": self.metadata,
            "destination": self.destination,
            "source": self.source,
        }
        return {name: value for name, value in document.items() if value is not None}
