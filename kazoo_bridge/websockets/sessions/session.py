"""One client: who it is, what it subscribes to, and the connection on which it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define, field

from kazoo_bridge.interfaces import ICallWatch, Principal
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer
from kazoo_bridge.websockets.sessions.token_bucket import TokenBucket
from kazoo_bridge.websockets.subscriptions.binding_catalogue import CALLS_BINDING
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription

#: (account id or ``*``, binding).
SubscriptionId = tuple[str, str]


class SessionOutput(Protocol):
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
    output: SessionOutput | None
    last_seen: float
    token: str | None = field(default=None, repr=False)
    principal: Principal | None = None
    name: str | None = None
    metadata: Any = None
    subscriptions: dict[SubscriptionId, Subscription] = field(factory=dict)
    call_watches: dict[str, ICallWatch] = field(factory=dict)
    replay_buffer: ReplayBuffer | None = None
    disconnected_at: float | None = None
    ended: bool = False

    def deliver(self, frame: EventFrame) -> None:
        """Take an event."""
        journal = self.replay_buffer
        if journal is not None:
            journal.add(frame)
        if self.output is not None:
            self.output.event(frame, journal is not None)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection; a session that waits for its client to come back has none."""
        return self.output is not None

    @property
    def account_id(self) -> str | None:
        """The account that the client speaks for, once it has authenticated."""
        return None if self.principal is None else self.principal.account_id

    @property
    def bindings(self) -> list[str]:
        """Everything the client is subscribed to, each binding once, in the order of subscribing."""
        asked = [binding for _, binding in self.subscriptions]
        return list(dict.fromkeys([*asked, *([CALLS_BINDING] if self.call_watches else [])]))

    @property
    def count(self) -> int:
        """How many subscriptions there are."""
        return len(self.subscriptions) + len(self.call_watches)

    @property
    def accounts(self) -> set[str]:
        """The accounts (or ``*``) that the client hears of."""
        return {account for account, _ in self.subscriptions} | set(self.call_watches)

    def to_document(self) -> Mapping[str, Any]:
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
