"""Fakes of what websockets use, and the websockets' own parts put together over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from kazoo_bridge.config import Websockets
from kazoo_bridge.interfaces import (
    Account,
    BusUnavailable,
    CallChange,
    CommandRefused,
    EventHandler,
    IBus,
    ICalls,
    ICallWatch,
    IConsumer,
    IDirectory,
    IStreamTransport,
    NewCall,
    Principal,
    Queue,
    StorageUnavailable,
    Topic,
    UnknownCall,
    UserLogin,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.server.group_feed import FeedOwner
from kazoo_bridge.websockets.sessions.authorization import Authorizer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import SessionLimits, SessionRegistry
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_budget import SubscriptionBudget
from kazoo_bridge.websockets.subscriptions.subscription_index import SubscriptionIndex
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions

#: CHILD is below PARENT; STRANGER is related to neither; SUPERADMIN may act for all.
PARENT, CHILD, STRANGER, SUPERADMIN = "a" * 32, "b" * 32, "c" * 32, "f" * 32


@implementer(IStreamTransport)
@define(eq=False, slots=False)  # tests replace `write`
class FakeTransport:
    """Collects what a connection or a stream writes."""

    written: list[bytes] = field(factory=list)
    is_aborted: bool = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.is_aborted = True


@implementer(IDirectory)
class FakeDirectory:
    """A directory in memory.

    `tokens` maps tokens to principals, `parents` accounts to their parents, `numbers` telephone numbers to
    accounts. While `unavailable`, what is asynchronous fails; while `accounts_unavailable`, `account` does.
    """

    def __init__(self) -> None:
        self.parents: dict[str, str | None] = {PARENT: None, CHILD: PARENT, STRANGER: None, SUPERADMIN: None}
        self.tokens = {account_id: Principal(account_id) for account_id in self.parents}
        self.numbers: dict[str, str] = {}
        #: What `look_up_number` returns.
        self.asked_numbers: dict[str, Deferred[Any]] = {}
        self.unavailable = False
        self.accounts_unavailable = False
        #: The names of the methods that were called.
        self.asked: list[str] = []

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        self.asked.append("authenticate")
        return self._answer(self.tokens.get(token))

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        return self._answer(None)

    def log_in_user(self, credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        return self._answer(None)

    def log_out(self, token: str) -> Deferred[bool]:
        return self._answer(self.tokens.pop(token, None) is not None)

    def account(self, account_id: str) -> Deferred[Account | None]:
        if self.accounts_unavailable:
            return fail(StorageUnavailable("no connection"))
        exists = account_id in self.parents
        return self._answer(Account(account_id, "name", f"{account_id[:1]}.example.com") if exists else None)

    def reseller_of(self, account_id: str) -> str | None:
        ancestors = self.ancestors(account_id)
        return ancestors[0] if ancestors else None

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        if account_id not in self.parents:
            return None
        parent = self.parents[account_id]
        return () if parent is None else (parent, *(self.ancestors(parent) or ()))

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        below = [child for child in self.parents if account_id in (self.ancestors(child) or ())]
        return self._answer(frozenset(below))

    def is_superadmin(self, account_id: str) -> bool:
        return account_id == SUPERADMIN

    def account_for_number(self, number: str) -> str | None:
        return self.numbers.get(number.removeprefix("+"))

    def look_up_number(self, number: str) -> Deferred[Any] | None:
        return self.asked_numbers.get(number)

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        self.asked.append("can_act_for")
        exists = account_id in self.parents
        own = principal.account_id in (account_id, *(self.ancestors(account_id) or ()))
        return self._answer(exists and (own or self.is_superadmin(principal.account_id)))

    def _answer(self, answer: Any) -> Deferred[Any]:
        return fail(StorageUnavailable("no connection")) if self.unavailable else succeed(answer)


@implementer(IConsumer)
class FakeConsumer:
    """A consumer that binds at once, refuses, or does not answer, by texts that a pattern contains."""

    def __init__(self, topics: frozenset[Topic] = frozenset()) -> None:
        self.start_count = 1
        self.bound: set[Topic] = set(topics)
        self.refused: list[str] = []
        self.unanswered: list[str] = []
        self.waiting: list[Deferred[None]] = []
        self.unbinding_fails = False
        self.cancelled = False

    def bind(self, topic: Topic) -> Deferred[None]:
        if any(text in topic.pattern for text in self.refused):
            return fail(BusUnavailable("ACCESS_REFUSED for user 'guest'"))
        self.bound.add(topic)
        if any(text in topic.pattern for text in self.unanswered):
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return succeed(None)

    def unbind(self, topic: Topic) -> Deferred[None]:
        self.bound.discard(topic)
        return fail(BusUnavailable("no connection")) if self.unbinding_fails else succeed(None)

    def when_running(self) -> Deferred[None]:
        return succeed(None)

    def cancel(self) -> Deferred[None]:
        self.cancelled = True
        return succeed(None)


@implementer(IBus)
class FakeBus:
    """A bus with one `FakeConsumer`, which keeps what it is asked; `replies` answer every request."""

    def __init__(self) -> None:
        self.consumer = FakeConsumer()
        self.queues: list[Queue] = []
        self.published: list[tuple[str, str, Mapping[str, Any]]] = []
        self.replies: list[Event] = []
        self.requests: list[tuple[str, str, Mapping[str, Any]]] = []
        self.unavailable = False
        self.handlers: list[EventHandler] = []

    def consume(self, queue: Queue, handler: EventHandler) -> FakeConsumer:
        self.queues.append(queue)
        self.handlers.append(handler)
        self.consumer.bound |= queue.topics
        return self.consumer

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        if self.unavailable:
            return fail(BusUnavailable("no connection"))
        self.published.append((exchange, routing_key, body))
        return succeed(None)

    def reply(self, request: Event, body: Mapping[str, Any]) -> Deferred[None]:
        assert request.server_id is not None
        return self.publish("targeted", request.server_id, body)

    def request(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], **options: Any
    ) -> Deferred[list[Event]]:
        if self.unavailable:
            return fail(BusUnavailable("no connection"))
        self.requests.append((exchange, routing_key, body))
        return succeed(self.replies)

    def unavailable_reason(self) -> str | None:
        return "no connection" if self.unavailable else None


@implementer(ICallWatch)
class FakeCallWatch:
    """A watch of an account's calls; `on_change` sends a change to its owner."""

    def __init__(self, account_id: str, on_change: Callable[[CallChange], None]) -> None:
        self.account_id = account_id
        self.on_change = on_change
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True


@implementer(ICalls)
class FakeCalls:
    """Live calls that keep the commands sent; a watch gets a snapshot of one call.

    The call ``gone`` does not exist; the command ``dance`` is refused; ``say`` finds no bus.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []
        #: Failures of new calls by the number that they go to, and the receivers of outcomes.
        self.place_errors: dict[Any, Exception] = {}
        self.outcomes: list[Any] = []
        self.watches: list[FakeCallWatch] = []

    @property
    def active_watches(self) -> list[FakeCallWatch]:
        return [watch for watch in self.watches if not watch.stopped]

    def channels(self, account_id: str) -> Deferred[list[Mapping[str, Any]]]:
        return succeed([])

    def user_channels(
        self, account_id: str, usernames: Sequence[str], realm: str
    ) -> Deferred[list[Mapping[str, Any]]]:
        return succeed([])

    def all_channels(self) -> Deferred[list[Mapping[str, Any]]]:
        return succeed([])

    def channel(self, account_id: str, call_id: str) -> Deferred[Mapping[str, Any] | None]:
        return succeed(None)

    def command(self, account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> Deferred[str]:
        if call_id == "gone":
            return fail(UnknownCall(call_id))
        if command == "dance":
            return fail(CommandRefused({"command": {"enum": {"message": "unknown command dance"}}}))
        if command == "say":
            return fail(BusUnavailable("no connection"))
        self.sent.append((account_id, call_id, command, dict(data)))
        return succeed(f"{command} initiated")

    def flow(self, account_id: str, call_id: str, flow: Mapping[str, Any]) -> Deferred[str]:
        self.sent.append((account_id, call_id, dict(flow)))
        return succeed("metaflow sent")

    def place(
        self,
        account_id: str,
        command: str,
        data: Mapping[str, Any],
        on_outcome: Callable[[NewCall], None] | None = None,
    ) -> Deferred[NewCall]:
        if data.get("to") in self.place_errors:
            return fail(self.place_errors[data["to"]])
        self.sent.append((account_id, command, dict(data)))
        self.outcomes.append(on_outcome)
        return succeed(NewCall("command-1", command, account_id, "call-1", ("call-1",), "ringing"))

    def watch(self, account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        watch: Any = FakeCallWatch(account_id, watcher)
        self.watches.append(watch)
        watcher(CallChange("snapshot", [{"call_id": "c1"}]))
        return watch  # type: ignore[no-any-return] # mypy-zope does not see that it implements ICallWatch


class FakeOutput:
    """A `SessionOutput` that keeps what is sent, and follows no feed."""

    def __init__(self) -> None:
        self.events: list[tuple[EventFrame, bool]] = []
        self.replies: list[bytes] = []
        self.closed: list[tuple[int, str]] = []

    def event(self, frame: EventFrame, sequenced: bool) -> None:
        self.events.append((frame, sequenced))

    def follow(self, group: FeedOwner) -> bool:
        return False

    def unfollow(self) -> None:
        """It follows none."""

    def reply(self, text: bytes) -> None:
        self.replies.append(text)

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))


class PartsHarness:
    """Sessions, subscriptions and fan-out on a clock, over fakes. The bus is consuming."""

    def __init__(self, *, now: float = 1_000_000.0, max_subscriptions: int = 100, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(now)
        self.directory = FakeDirectory()
        self.bus = FakeBus()
        self.calls = FakeCalls()
        bus: Any = self.bus
        directory: Any = self.directory
        calls: Any = self.calls
        index: SubscriptionIndex[Session] = SubscriptionIndex(self.directory.account_for_number)
        self.fanout = EventFanout(self.clock, bus, index, self.directory.look_up_number)
        self.fanout.start()
        config = evolve(Websockets(), **settings)
        self.subscription_budget = SubscriptionBudget(self.clock, config.max_subscriptions_per_account)
        catalogue = BindingCatalogue.from_categories(find_categories())
        self.subscriptions = Subscriptions(
            self.clock, directory, catalogue, self.fanout, max_subscriptions, self.subscription_budget, calls
        )
        self.authorizer = Authorizer(self.clock, directory, config.close_on_expiry)
        limits = SessionLimits.from_config(config)
        self.registry = SessionRegistry(self.clock, "host", limits, self.authorizer, self.subscriptions)

    @property
    def consumer(self) -> FakeConsumer:
        return self.bus.consumer

    def connect(self, account_id: str | None = PARENT, port: int = 1) -> tuple[Session, FakeOutput]:
        """Open a connected session, authenticated as the account unless that is None."""
        session, output = self.registry.open("192.0.2.1", port), FakeOutput()
        session.connect(output)
        if account_id is not None:
            session.authenticate(account_id, self.directory.tokens[account_id])
        return session, output

    def subscribe(self, session: Session, *bindings: str, account_id: str = PARENT) -> Deferred[None]:
        return Deferred.fromCoroutine(self.subscriptions.subscribe(session, account_id, bindings))
