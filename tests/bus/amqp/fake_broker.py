"""Stand-ins for a broker:

`FakeConnection` answers requests when the test says so; `ConnectionHarness` speaks AMQP.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from copy import copy
from types import SimpleNamespace
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from txamqp.connection import Frame, Method

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, Closed
from kazoo_bridge.bus.amqp.wire.frame_reader import FrameReader, RawDelivery
from kazoo_bridge.bus.amqp.wire.spec import amqp_0_9_1
from tests.deferreds import result_of as result_of

Key = tuple[str, str]
T = TypeVar("T")

SPEC = amqp_0_9_1()


def failure_of(deferred: Deferred[Any]) -> BaseException:
    """Return the exception that it has failed with."""
    failures: list[Failure] = []
    deferred.addErrback(failures.append)
    assert len(failures) == 1, "it has not failed"
    value = failures[0].value
    assert value is not None
    return value


# -- answered by the test -----------------------------------------------------------------------


class FakeChannel:
    """One channel of a `FakeConnection`; closed by a request that the broker refuses."""

    def __init__(self, broker: FakeConnection) -> None:
        self._broker = broker
        self.id = 1
        self.closed = False
        self._when_closed: list[Deferred[Closed]] = []

    def when_closed(self) -> Deferred[Closed]:
        self._when_closed.append(Deferred())
        return self._when_closed[-1]

    def close_by_broker(self, error: Closed) -> None:
        self.closed = True
        waiters, self._when_closed = self._when_closed, []
        for waiter in waiters:
            waiter.callback(error)

    def basic_qos(self, prefetch_count: int) -> Deferred[Any]:
        return self._broker.answer(f"qos {prefetch_count}", lambda: None)

    def basic_consume(self, queue: str, no_ack: bool) -> Deferred[Any]:
        kind = "consume without acknowledgement" if no_ack else "consume"
        return self._broker.answer(f"{kind} {queue}", lambda: SimpleNamespace(consumer_tag="tag"))

    def basic_cancel(self, consumer_tag: str) -> Deferred[Any]:
        return self._broker.answer(f"cancel {consumer_tag}", lambda: None)

    def confirm_select(self) -> Deferred[Any]:
        return self._broker.answer("confirm", lambda: None)

    def exchange_declare(self, exchange: str, **arguments: Any) -> Deferred[Any]:
        passive = " passively" if arguments.get("passive") else ""
        return self._refusable(f"exchange {exchange}{passive}", lambda: None)

    def queue_declare(self, queue: str, **arguments: Any) -> Deferred[Any]:
        passive = " passively" if arguments.get("passive") else ""
        self._broker.queue_arguments.append(arguments.get("arguments"))
        return self._refusable(
            f"queue {queue}{passive}",
            lambda: SimpleNamespace(queue=queue or "amq.gen-1", message_count=self._broker.message_count),
        )

    def queue_bind(self, queue: str, exchange: str, routing_key: str) -> Deferred[Any]:
        if routing_key in self._broker.refused:
            self.closed = True
            return fail(BrokerClosedChannel(403, f"no access for {routing_key}"))
        return self._broker.answer(
            f"bind {routing_key}", lambda: self._broker.bound.add((exchange, routing_key))
        )

    def queue_unbind(self, queue: str, exchange: str, routing_key: str) -> Deferred[Any]:
        return self._broker.answer(
            f"unbind {routing_key}", lambda: self._broker.bound.discard((exchange, routing_key))
        )

    def _refusable(self, what: str, act: Callable[[], Any]) -> Deferred[Any]:
        refusal = self._broker.refusals.get(what)
        if refusal is not None:
            self._broker.requests.append(what)
            self.closed = True
            return fail(refusal)
        return self._broker.answer(what, act)


class FakeConnection:
    """Answers requests at once or, with `holding`, when `release` is called.

    `refused` has routing keys that cannot be bound, `refusals` the error of each declaration that fails;
    `failing` is raised by every request. `requests` records the requests, `written` the bytes that were sent,
    `aborted` the reasons of aborting the connection.
    """

    MAX_LENGTH = 131072
    spec = SPEC

    def __init__(self, *, holding: bool = False) -> None:
        self.holding = holding
        self.close_reason: Closed | None = None
        self.blocked: str | None = None
        self.unresponsive = False
        self.reader = FrameReader(lambda _frame: None)
        self.written: list[bytes] = []
        self.write = self.written.append
        self.bound: set[Key] = set()
        self.refused: set[str] = set()
        self.refusals: dict[str, Exception] = {}
        self.queue_arguments: list[Any] = []
        self.message_count = 0
        self.requests: list[str] = []
        self.failing: Exception | None = None
        self.channels: list[FakeChannel] = []
        self.closed_channels: list[FakeChannel] = []
        self.aborted: list[str] = []
        self._held: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def abort(self, reason: str) -> None:
        self.aborted.append(reason)

    def open_channel(self) -> Deferred[FakeChannel]:
        if self.failing is not None:
            return fail(copy(self.failing))
        self.channels.append(FakeChannel(self))
        return succeed(self.channels[-1])

    async def close_channel(self, channel: FakeChannel) -> None:
        channel.closed = True
        self.closed_channels.append(channel)

    def answer(self, what: str, act: Callable[[], Any]) -> Deferred[Any]:
        self.requests.append(what)
        if self.failing is not None:
            return fail(copy(self.failing))
        if not self.holding:
            return succeed(act())
        answer: Deferred[Any] = Deferred()
        self._held.append((answer, act))
        return answer

    def release_one(self) -> None:
        """Answer the oldest open request."""
        answer, act = self._held.pop(0)
        answer.callback(act())

    def release(self) -> None:
        """Answer every open request, and later ones at once."""
        self.holding = False
        while self._held:
            answer, act = self._held.pop(0)
            answer.callback(act())

    def deliver(self, tag: int, body: bytes, **options: Any) -> None:
        """Deliver one message like `deliver_together`, whose options these are."""
        self.deliver_together((tag, body), **options)

    def deliver_together(
        self,
        *messages: tuple[int, bytes],
        redelivered: bool = False,
        key: str = "call.x",
        encoding: str | None = None,
    ) -> None:
        """Deliver messages (delivery tag, body), received in one read, to the consumer of channel 1."""
        receiver = self.reader.receiver(1)
        assert receiver is not None
        for tag, body in messages:
            receiver.on_delivery(RawDelivery(tag, redelivered, "callevt", key, encoding, body))
        receiver.on_read_end()


# -- speaking AMQP ------------------------------------------------------------------------------


class FakeTransport(StringTransport):
    """A transport that records whether it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True

    def sent(self) -> list[Frame]:
        """Return the frames that were sent since the previous call."""
        data, found = self.value(), []
        self.clear()
        if data.startswith(b"AMQP"):
            data = data[8:]
        while data:
            size = struct.unpack_from("!BHI", data)[2] + frame_writer.OVERHEAD
            found.append(frame_writer.unpack(SPEC, data[:size]))
            data = data[size:]
        return found

    def methods(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Return name and arguments of the methods that were sent since the previous call."""
        return [
            (f"{frame.payload.method.klass.name}.{frame.payload.method.name}", frame.payload.args)
            for frame in self.sent()
            if isinstance(frame.payload, Method)
        ]


def method(name: str, *args: Any, channel: int = 0) -> bytes:
    """Return the frame of a method, for instance ``channel.open-ok``."""
    klass, method_name = name.split(".")
    declared = SPEC.classes.byname[klass].methods.byname[method_name]
    return frame_writer.frame(frame_writer.METHOD, channel, frame_writer.method_payload(declared, args))


START = method(
    "connection.start",
    0,
    9,
    {"product": "größe", "list": [1, {"a": None}], "n": 2**40},
    "PLAIN AMQPLAIN",
    "en_US",
)


class ConnectionHarness:
    """A `BrokerConnection` with its clock and transport; the test is the broker."""

    def __init__(
        self, frame_max: int = 131072, heartbeat: int = 0, wanted_heartbeat: int = 0, login: bool = True
    ) -> None:
        self.clock = Clock()
        self.transport = FakeTransport()
        self.blocked: list[str | None] = []
        self.connection = BrokerConnection(
            self.clock,
            "/größe",
            connection_name="the name",
            heartbeat=wanted_heartbeat,
            on_blocked=self.blocked.append,
        )
        self.connection.makeConnection(self.transport)
        self.logged_in = Deferred.fromCoroutine(self.connection.login("üser", "päss"))
        self.receive(START)
        self.start_ok = self.transport.methods()
        if login:
            self.receive(method("connection.tune", 2047, frame_max, heartbeat))
            self.tuned = self.transport.methods()
            self.receive(method("connection.open-ok", ""))

    def receive(self, data: bytes) -> None:
        """Let the connection receive bytes of the broker."""
        self.connection.dataReceived(data)

    def open_channel(self) -> Any:
        """Open a channel."""
        self.transport.clear()
        opening = Deferred.fromCoroutine(self.connection.open_channel())
        [frame] = self.transport.sent()
        assert frame.payload.method.klass.name == "channel"
        self.receive(method("channel.open-ok", "", channel=frame.channel))
        return result_of(opening)
