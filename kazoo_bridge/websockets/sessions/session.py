"""The state of one client, and the buffer from which it receives missed events when it resumes."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define, field

from kazoo_bridge.interfaces import ICallWatch, Principal
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.subscriptions.binding_catalogue import CALLS_BINDING
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription

#: (account id or `ALL_ACCOUNTS`, binding).
SubscriptionId = tuple[str, str]


class SessionOutput(Protocol):
    """The connection of a session."""

    def event(self, frame: EventFrame, sequenced: bool) -> None:
        """Send an event, with its sequence if `sequenced`, or drop it when the client does not read."""

    def reply(self, text: bytes) -> None:
        """Send a reply or notice, as JSON."""

    def close(self, code: int, reason: str) -> None:
        """Send what waits, then close the connection with a `CloseCode` and a short text."""


@define(eq=False)
class ReplayBuffer:
    """The latest `max_events` events of a session that can be resumed.

    `token` names the session. `interruptions` is the value of `EventFanout.interruptions` when the client was
    last informed about gaps. `dropped_until` is the sequence of the newest event that is no longer here.
    """

    max_events: int
    interruptions: int
    token: str = field(factory=lambda: secrets.token_hex(24), repr=False)
    dropped_until: int = 0
    _frames: deque[EventFrame] = field(init=False, factory=deque)

    def add(self, frame: EventFrame) -> None:
        """Store an event; drops the oldest one beyond `max_events`."""
        self._frames.append(frame)
        if len(self._frames) > self.max_events:
            self.dropped_until = self._frames.popleft().sequence

    def after(self, sequence: int) -> list[EventFrame]:
        """Return the stored events with a greater sequence, in order."""
        return [frame for frame in self._frames if frame.sequence > sequence]

    def has_gap(self, sequence: int) -> bool:
        """Return whether events with a greater sequence have been dropped."""
        return self.dropped_until > sequence


@define(eq=False)
class Session:
    """The state of one client.

    `source` is the client's address and `destination` this node's host. `started` and `last_seen` (the latest
    message) are in Unix seconds. `output` is the connection. A session with a `replay_buffer` outlives its
    connection for a while: `output` is then None, since `disconnected_at` (Unix seconds). An `ended` session
    is of no further use. `check_group` says with which sweeps the `SessionRegistry` checks its rights.
    """

    id: str
    source: str
    destination: str
    started: float
    bucket: TokenBucket
    last_seen: float
    output: SessionOutput | None = None
    token: str | None = field(default=None, repr=False)
    principal: Principal | None = None
    name: str | None = None
    metadata: Any = None
    subscriptions: dict[SubscriptionId, Subscription] = field(factory=dict)
    call_watches: dict[str, ICallWatch] = field(factory=dict)
    replay_buffer: ReplayBuffer | None = None
    disconnected_at: float | None = None
    ended: bool = False
    check_group: int = 0

    def authenticate(self, token: str, principal: Principal) -> None:
        """Give the session the rights of `principal`, as whom `token` authenticates its client."""
        self.token, self.principal = token, principal

    def connect(self, output: SessionOutput) -> None:
        """Send events and replies to `output` from now on."""
        self.output = output
        self.disconnected_at = None

    def disconnect(self) -> None:
        """Send nothing from now on; events still enter the replay buffer."""
        self.output = None

    def deliver(self, frame: EventFrame) -> None:
        """Send an event, and store it if the session can be resumed."""
        replay_buffer = self.replay_buffer
        if replay_buffer is not None:
            replay_buffer.add(frame)
        if self.output is not None:
            self.output.event(frame, replay_buffer is not None)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self.output is not None

    @property
    def account_id(self) -> str | None:
        """The account as which the client is authenticated; None before."""
        return None if self.principal is None else self.principal.account_id

    @property
    def bindings(self) -> list[str]:
        """The subscribed bindings, each once, in the order of subscribing."""
        bindings = [binding for _, binding in self.subscriptions]
        return list(dict.fromkeys([*bindings, *([CALLS_BINDING] if self.call_watches else [])]))

    @property
    def subscription_count(self) -> int:
        """The number of subscriptions, that to live calls included."""
        return len(self.subscriptions) + len(self.call_watches)

    @property
    def subscribed_accounts(self) -> set[str]:
        """The accounts (or `ALL_ACCOUNTS`) of the subscriptions."""
        return {account_id for account_id, _ in self.subscriptions} | set(self.call_watches)

    def to_document(self) -> Mapping[str, Any]:
        """Return the socket as it is listed, with the keys of KAZOO's ``/websockets``."""
        document = {
            "websocket_session_id": self.id,
            "bindings": self.bindings,
            "timestamp": to_gregorian(self.started),
            "name": self.name,
            "metadata": self.metadata,
            "destination": self.destination,
            "source": self.source,
        }
        return {key: value for key, value in document.items() if value is not None}
