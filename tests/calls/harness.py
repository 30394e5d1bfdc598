"""A `CallService` over the embedded bus and a fake switch node, on a `Clock`."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Calls, Config
from kazoo_bridge.interfaces import CallChange, EventHandler, IBus, ICallWatch, IConsumer, Queue, Topic
from tests.calls.switch import ACCOUNT, SwitchNode

#: Seconds for which queries collect replies.
QUERY_TIMEOUT = 0.5

_results = SynchronousTestCase()


def start(awaitable: Awaitable[Any]) -> Deferred[Any]:
    """Start a coroutine; a Deferred stays as it is."""
    started: Deferred[Any] = ensureDeferred(cast("Deferred[Any]", awaitable))
    return started


@implementer(IConsumer)
@define(eq=False)
class RecordingConsumer:
    """Passes calls on to a consumer; `topics` are the bound topics."""

    _consumer: Any
    topics: set[Topic]
    queue: Queue

    @property
    def start_count(self) -> int:
        return int(self._consumer.start_count)

    def bind(self, topic: Topic) -> Deferred[None]:
        self.topics.add(topic)
        return cast("Deferred[None]", self._consumer.bind(topic))

    def unbind(self, topic: Topic) -> Deferred[None]:
        self.topics.discard(topic)
        return cast("Deferred[None]", self._consumer.unbind(topic))

    def when_running(self) -> Deferred[None]:
        return cast("Deferred[None]", self._consumer.when_running())

    def cancel(self) -> Deferred[None]:
        self.topics.clear()
        return cast("Deferred[None]", self._consumer.cancel())


class RecordingBus(EmbeddedBus):
    """An embedded bus; `consumers` are all that it has returned."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.consumers: list[RecordingConsumer] = []

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        consumer = RecordingConsumer(super().consume(queue, handler), set(queue.topics), queue)
        self.consumers.append(consumer)
        return cast(IConsumer, consumer)


@define
class RecordingWatcher:
    """Collects the changes that it receives, and applies them to `calls` like a client."""

    changes: list[CallChange] = field(factory=list)
    calls: dict[str, Any] = field(factory=dict)

    def __call__(self, change: CallChange) -> None:
        self.changes.append(change)
        if change.kind == "snapshot":
            self.calls.clear()
        self.calls.update({call["call_id"]: call for call in change.calls})
        for call_id in change.call_ids:
            del self.calls[call_id]

    @property
    def kinds(self) -> list[str]:
        return [change.kind for change in self.changes]

    @property
    def states(self) -> dict[str, str]:
        return {call_id: call["state"] for call_id, call in self.calls.items()}


@define
class Harness:
    """A started service. `node` is the only node of the switch unless a test adds another."""

    clock: Clock
    bus: RecordingBus
    node: SwitchNode
    service: CallService

    def watch(self, account_id: str = ACCOUNT) -> tuple[RecordingWatcher, ICallWatch]:
        watcher = RecordingWatcher()
        return watcher, self.service.watch(account_id, watcher)

    def watch_with_snapshot(self, account_id: str = ACCOUNT) -> RecordingWatcher:
        """Return a watcher that has received its snapshot."""
        watcher, _ = self.watch(account_id)
        self.finish_query()
        assert watcher.kinds == ["snapshot"]
        return watcher

    def settle(self) -> None:
        """Let the bus deliver everything, without time passing."""
        for _ in range(20):
            self.clock.advance(0)

    def finish_query(self) -> None:
        """Let the time-out of a query pass."""
        self.settle()
        self.clock.advance(QUERY_TIMEOUT)
        self.settle()

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass in small steps."""
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def result_of(self, awaitable: Awaitable[Any], seconds: float = 0) -> Any:
        """Return what `awaitable` has fired with after `seconds`."""
        deferred = start(awaitable)
        self.settle()
        self.clock.advance(seconds)
        return _results.successResultOf(deferred)

    def failure_of(self, awaitable: Awaitable[Any], kind: type[BaseException], seconds: float = 0) -> Any:
        """Return the exception of type `kind` that `awaitable` has failed with after `seconds`."""
        deferred = start(awaitable)
        self.settle()
        self.clock.advance(seconds)
        return _results.failureResultOf(deferred, kind).value

    def command(
        self, name: str, data: dict[str, Any], call_id: str = "call-1", account_id: str = ACCOUNT
    ) -> Deferred[str]:
        return start(self.service.command(account_id, call_id, name, data))

    def publish(self, name: str, call_id: str = "call-1", account_id: Any = ACCOUNT, **body: Any) -> None:
        """Publish a call event and let it arrive. Keys of `body` have ``_`` for ``-``."""
        variables = {"Account-ID": account_id, "Owner-ID": "u1"} if account_id else None
        event = {
            "Event-Category": "call_event",
            "Event-Name": name,
            "Call-ID": call_id,
            "Msg-ID": "m",
            "Timestamp": 63961574400,
            **({"Custom-Channel-Vars": variables} if variables else {}),
            **{key.replace("_", "-"): value for key, value in body.items()},
        }
        self.bus.publish("callevt", f"call.{name}.{call_id}", event)
        self.settle()


@contextmanager
def running_harness() -> Iterator[Harness]:
    clock = Clock()
    bus = RecordingBus(clock)
    node = SwitchNode(cast(IBus, bus))
    config = evolve(Config(), calls=Calls(query_timeout_ms=int(QUERY_TIMEOUT * 1000)))
    service = CallService.from_config(clock, config, cast(IBus, bus))
    bus.startService()
    service.start()
    yield Harness(clock, bus, node, service)
    Deferred.fromCoroutine(service.stop())
    bus.stopService()
    assert clock.getDelayedCalls() == []
