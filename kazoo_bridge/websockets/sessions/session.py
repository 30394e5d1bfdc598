"""The state of one client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define, field

from kazoo_bridge.interfaces import ICallWatch, Principal
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.server.group_feed import FeedOwner
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer
from kazoo_bridge.websockets.subscriptions.binding_catalogue import CALLS_BINDING
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription, SubscriptionGroup

#: (account id or `ALL_ACCOUNTS`, binding).
SubscriptionId = tuple[str, str]


class SessionOutput(Protocol):
    """The connection of a session."""

    def event(self, frame: EventFrame, sequenced: bool) -> None:
        """Send an event, with its sequence if `sequenced`, or drop it when the client does not read."""

    def follow(self, group: FeedOwner) -> bool:
        """Send the events of the group's feed from now on, without sequences; returns whether it can."""

    def unfollow(self) -> None:
        """Send no events of a feed from now on."""

    def reply(self, text: bytes) -> None:
        """Send a reply or notice, as JSON."""

    def close(self, code: int, reason: str) -> None:
        """Send what waits, then close the connection with a `CloseCode` and a short text."""


@define(eq=False)
class Session:
    """The state of one client.

    `source` is the client's address and `destination` this node's host. `started` and `last_seen` (the latest
    message) are in Unix seconds. `output` is the connection. A session with a `replay_buffer` outlives its
    connection for a while: `output` is then None, since `disconnected_at` (Unix seconds). An `ended` session
    is of no further use. `check_group` says with which sweeps the `SessionRegistry` checks its rights.
    `connected` counts the connected sessions by account, and is shared by all sessions.
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
    connected: Counter[str] = field(factory=Counter, repr=False)
    #: The account in `connected` for which the session counts; None: it does not count.
    _counted_for: str | None = field(init=False, default=None)
    #: The group whose events the connection takes from the group's feed.
    _followed: SubscriptionGroup[Session] | None = field(init=False, default=None)
    #: Events that were delivered one by one, or by groups that are no longer followed.
    _delivered: int = field(init=False, default=0)
    #: The number of events of the feed of `_followed` before the session followed it.
    _followed_from: int = field(init=False, default=0)

    def authenticate(self, token: str, principal: Principal) -> None:
        """Give the session the rights of `principal`, as whom `token` authenticates its client."""
        self.token, self.principal = token, principal
        self._count()

    def connect(self, output: SessionOutput) -> None:
        """Send events and replies to `output` from now on."""
        self.output = output
        self.disconnected_at = None
        self._count()

    def disconnect(self) -> None:
        """Send nothing from now on; events still enter the replay buffer."""
        self._unfollow()
        self.output = None
        self._count()

    def end(self) -> None:
        """Mark the session as ended, and release its memory."""
        self._unfollow()
        self.ended = True
        if self.replay_buffer is not None:
            self.replay_buffer.clear()
        self._count()

    def keep_events(self, replay_buffer: ReplayBuffer) -> None:
        """Store events in `replay_buffer` from now on, so that the session can be resumed."""
        self._unfollow()
        self.replay_buffer = replay_buffer

    def follow(self, group: SubscriptionGroup[Session]) -> bool:
        """See `Subscriber`: without a replay buffer, the events of the first group go through its feed."""
        if self._followed is not None or self.replay_buffer is not None or self.ended or self.output is None:
            return False
        if self.output.follow(group):
            self._followed = group
            self._followed_from = _feed_end(group)
            return True
        return False

    def unfollow(self, group: SubscriptionGroup[Session]) -> None:
        """See `Subscriber`."""
        if self._followed is group:
            self._delivered = self.event_count
            self._followed = None
            if self.output is not None:
                self.output.unfollow()

    def _unfollow(self) -> None:
        """Receive each event by `deliver` from now on."""
        if self._followed is not None:
            self._followed.deliver_to(self)

    def _count(self) -> None:
        account_id = self.account_id if self.output is not None and not self.ended else None
        if account_id == self._counted_for:
            return
        if self._counted_for is not None:
            self.connected[self._counted_for] -= 1
            if not self.connected[self._counted_for]:
                del self.connected[self._counted_for]
        if account_id is not None:
            self.connected[account_id] += 1
        self._counted_for = account_id

    def deliver(self, frame: EventFrame) -> None:
        """Send an event, and store it if the session can be resumed."""
        if self.ended:  # its subscriptions may end a moment later
            return
        self._delivered += 1
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
    def event_count(self) -> int:
        """The number of events that were delivered to the client, or stored for it."""
        if self._followed is None:
            return self._delivered
        return self._delivered + _feed_end(self._followed) - self._followed_from

    @property
    def bindings(self) -> list[str]:
        """The subscribed bindings as clients see them, each once, in the order of subscribing."""
        bindings = [subscription.shown for subscription in self.subscriptions.values()]
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
        """Return the socket as it is listed: with the keys of KAZOO's ``/websockets``, and ``events``."""
        document = {
            "websocket_session_id": self.id,
            "bindings": self.bindings,
            "timestamp": to_gregorian(self.started),
            "name": self.name,
            "metadata": self.metadata,
            "destination": self.destination,
            "source": self.source,
            "events": self.event_count,
        }
        return {key: value for key, value in document.items() if value is not None}


def _feed_end(group: SubscriptionGroup[Session]) -> int:
    return 0 if group.feed is None else group.feed.end
