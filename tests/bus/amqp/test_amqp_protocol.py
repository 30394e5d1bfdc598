"""The connection, against a broker played by hand; and what plain txAMQP does in the same place."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from txamqp.client import TwistedDelegate
from txamqp.connection import Body, Frame, Method
from txamqp.content import Content
from txamqp.protocol import AMQClient

from kazoo_bridge.bus.amqp import publisher as publisher_module
from kazoo_bridge.bus.amqp.connection.connection import CAPABILITIES, BrokerConnection
from kazoo_bridge.bus.amqp.publisher import ConfirmingPublisher
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, BrokerClosedConnection, ConnectionGone
from kazoo_bridge.bus.amqp.wire.spec import amqp_0_9_1
from kazoo_bridge.interfaces import BusUnavailable

SPEC = amqp_0_9_1()


class Wire(StringTransport):
    """A transport that tells the connection when it is aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True

    def sent(self) -> list[Frame]:
        """What was sent since the last look, as frames."""
        data, found = self.value(), []
        self.clear()
        if data.startswith(b"AMQP"):
            data = data[8:]
        while data:
            size = struct.unpack_from("!BHI", data)[2] + frame_writer.OVERHEAD
            found.append(frame_writer.unpack(SPEC, data[:size]))
            data = data[size:]
        return found

    def calls(self) -> list[tuple[str, tuple[Any, ...]]]:
        """The methods sent since the last look."""
        return [
            (f"{frame.payload.method.klass.name}.{frame.payload.method.name}", frame.payload.args)
            for frame in self.sent()
            if isinstance(frame.payload, Method)
        ]


def call(name: str, *args: Any, channel: int = 0) -> bytes:
    """A method from the broker."""
    klass, method = name.split(".")
    declared = SPEC.classes.byname[klass].methods.byname[method]
    return frame_writer.frame(frame_writer.METHOD, channel, frame_writer.method_payload(declared, args))


START = call(
    "connection.start",
    0,
    9,
    {"product": "größe", "list": [1, {"a": None}], "n": 2**40},
    "PLAIN AMQPLAIN",
    "en_US",
)


class Play:
    """A connection, its clock, its wire."""

    def __init__(
        self, frame_max: int = 131072, heartbeat: int = 0, wanted_heartbeat: int = 0, login: bool = True
    ) -> None:
        self.clock = Clock()
        self.wire = Wire()
        self.connection = BrokerConnection(
            self.clock, "/größe", connection_name="the name", heartbeat=wanted_heartbeat
        )
        self.connection.makeConnection(self.wire)
        self.logged_in = Deferred.fromCoroutine(self.connection.login("üser", "päss"))
        self.broker(START)
        self.start_ok = self.wire.calls()
        if login:
            self.broker(call("connection.tune", 2047, frame_max, heartbeat))
            self.tuned = self.wire.calls()
            self.broker(call("connection.open-ok", ""))

    def broker(self, data: bytes) -> None:
        self.connection.dataReceived(data)

    def channel(self) -> Any:
        self.wire.clear()
        opening = Deferred.fromCoroutine(self.connection.open_channel())
        [frame] = self.wire.sent()
        assert frame.payload.method.klass.name == "channel"
        number = frame.channel
        self.broker(call("channel.open-ok", "", channel=number))
        return result_of(opening)


def result_of(deferred: Deferred[Any]) -> Any:
    """What it has fired with."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "it has not fired"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def test_the_login_tells_who_we_are() -> None:
    play = Play()
    result_of(play.logged_in)
    [(name, (properties, mechanism, response, _locale))] = play.start_ok
    assert (name, mechanism, response) == ("connection.start-ok", "PLAIN", "\0üser\0päss")
    assert properties["connection_name"] == "the name"
    assert properties["capabilities"] == dict.fromkeys(CAPABILITIES, True)
    assert ("connection.open", ("/größe", "", False)) in play.tuned
    assert play.connection.server_properties == {"product": "größe", "list": [1, {"a": None}], "n": 2**40}


def test_plain_txamqp_breaks_on_the_same_greeting() -> None:
    client = AMQClient(TwistedDelegate(), "/", SPEC, clock=Clock())
    client.makeConnection(Wire())
    with pytest.raises(ValueError, match="b'A'"):
        client.dataReceived(START)


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(0, 131072), (4096, 4096), (131072, 131072), (1_000_000, 131072)],
)
def test_the_frame_size_is_agreed_upon(offered: int, agreed: int) -> None:
    play = Play(frame_max=offered)
    assert ("connection.tune-ok", (2047, agreed, 0)) in play.tuned
    assert agreed == play.connection.MAX_LENGTH


def test_with_a_frame_size_of_0_plain_txamqp_sends_no_body() -> None:
    play = Play(frame_max=0)
    channel = play.channel()
    channel.basic_publish(exchange="e", routing_key="k", content=Content("größe" * 50_000))
    bodies = [frame.payload.content for frame in play.wire.sent() if isinstance(frame.payload, Body)]
    assert b"".join(bodies) == ("größe" * 50_000).encode()
    assert max(map(len, bodies)) + frame_writer.OVERHEAD == 131072

    plain = AMQClient(TwistedDelegate(), "/", SPEC, clock=Clock())
    wire = Wire()
    plain.makeConnection(wire)
    plain.MAX_LENGTH = 0
    plain_channel = plain.channel(1).result
    wire.clear()
    plain_channel.basic_publish(exchange="e", routing_key="k", content=Content("body")).addErrback(
        lambda _failure: None
    )
    assert b"body" not in wire.value()


@pytest.mark.parametrize(
    ("offered", "wanted", "agreed"), [(60, 30, 30), (10, 30, 10), (0, 30, 30), (60, 0, 0)]
)
def test_the_heartbeat_is_agreed_upon(offered: int, wanted: int, agreed: int) -> None:
    play = Play(heartbeat=offered, wanted_heartbeat=wanted)
    assert ("connection.tune-ok", (2047, 131072, agreed)) in play.tuned
    play.connection.connectionLost(Failure(ConnectionDone()))
    assert play.clock.getDelayedCalls() == []


def test_heartbeats_are_sent_when_nothing_else_is() -> None:
    play = Play(heartbeat=10, wanted_heartbeat=10)
    play.wire.clear()
    beats = 0
    for _ in range(20):
        play.broker(frame_writer.HEARTBEAT_FRAME)
        play.clock.advance(5)
        beats += play.wire.value().count(frame_writer.HEARTBEAT_FRAME)
        play.wire.clear()
    assert 10 <= beats <= 20
    assert not play.wire.aborted
    play.connection.write(frame_writer.acknowledge(1, 1, False))
    play.clock.advance(5)
    assert frame_writer.HEARTBEAT_FRAME not in play.wire.value()


def test_a_peer_without_a_sign_of_life_for_two_intervals_is_dropped() -> None:
    play = Play(heartbeat=10, wanted_heartbeat=10)
    play.clock.pump([5] * 4)
    assert not play.wire.aborted
    play.clock.pump([5])
    assert play.wire.aborted
    assert "no sign of life for 20 seconds" in str(play.connection.close_reason)
    assert play.clock.getDelayedCalls() == []


def test_any_frame_is_a_sign_of_life() -> None:
    play = Play(heartbeat=10, wanted_heartbeat=10)
    for _ in range(10):
        play.broker(call("connection.unblocked"))
        play.clock.advance(9)
    assert not play.wire.aborted


def test_a_refused_login_tells_the_brokers_code_and_words() -> None:
    play = Play(login=False)
    play.broker(call("connection.close", 403, "ACCESS_REFUSED - no", 0, 0))
    with pytest.raises(BrokerClosedConnection, match="403 ACCESS_REFUSED - no") as caught:
        result_of(play.logged_in)
    assert caught.value.code == 403
    assert play.wire.calls() == [("connection.close-ok", ())]
    assert play.wire.disconnecting


def test_a_connection_that_breaks_during_the_login_says_so() -> None:
    play = Play(login=False)
    play.connection.connectionLost(Failure(ConnectionDone()))
    with pytest.raises(ConnectionGone, match="without a word"):
        result_of(play.logged_in)


def test_a_closed_channel_leaves_the_connection_alone() -> None:
    play = Play()
    first, second = play.channel(), play.channel()
    ended = first.when_closed()
    declared = first.queue_declare(queue="größe", passive=True)
    play.wire.clear()
    play.broker(call("channel.close", 404, "NOT_FOUND - größe", 50, 10, channel=first.id))
    with pytest.raises(BrokerClosedChannel, match="404 NOT_FOUND - größe"):
        result_of(declared)
    assert result_of(ended).code == 404
    assert play.wire.calls() == [("channel.close-ok", ())]
    with pytest.raises(BrokerClosedChannel):
        result_of(first.basic_qos())
    assert play.connection.close_reason is None
    qos = second.basic_qos(prefetch_count=1)
    play.broker(call("basic.qos-ok", channel=second.id))
    result_of(qos)
    assert play.channel().id == first.id


def test_the_end_of_the_connection_is_told_to_everybody() -> None:
    play = Play()
    channel = play.channel()
    waiting = channel.basic_qos()
    ended = channel.when_closed()
    play.broker(call("connection.close", 320, "CONNECTION_FORCED - node is going down", 0, 0))
    with pytest.raises(BrokerClosedConnection, match="320"):
        result_of(waiting)
    assert isinstance(result_of(ended), BrokerClosedConnection)
    with pytest.raises(BrokerClosedConnection):
        result_of(Deferred.fromCoroutine(play.connection.open_channel()))


def test_blocking_and_unblocking_are_noted() -> None:
    play = Play()
    told: list[str | None] = []
    play.connection.on_blocked = told.append
    play.broker(call("connection.blocked", "low on memory"))
    assert play.connection.blocked == "low on memory"
    play.broker(call("connection.unblocked"))
    assert play.connection.blocked is None
    assert told == ["low on memory", None]


@pytest.mark.parametrize("name", ["connection.blocked", "basic.cancel"])
def test_plain_txamqp_fails_on_what_the_broker_says_unasked(name: str) -> None:
    arguments = {"connection.blocked": ("low on memory",), "basic.cancel": ("tag", True)}[name]
    channel = 0 if name.startswith("connection") else 1
    plain = AMQClient(TwistedDelegate(), "/", SPEC, clock=Clock())
    wire = Wire()
    plain.makeConnection(wire)
    plain.dataReceived(call(name, *arguments, channel=channel))
    assert plain.closed
    play = Play()
    play.broker(call(name, *arguments, channel=channel))
    assert play.connection.close_reason is None


def test_a_consumer_that_the_broker_cancels_is_told() -> None:
    play = Play()
    channel = play.channel()
    told: list[str] = []
    play.connection.cancelled[channel.id] = told.append
    play.broker(call("basic.cancel", "tag", True, channel=channel.id))
    assert told == ["tag"]


def test_flow_is_answered() -> None:
    play = Play()
    channel = play.channel()
    play.broker(call("channel.flow", True, channel=channel.id))
    assert play.wire.calls() == [("channel.flow-ok", (True,))]


BODY = "größe".encode()


def halved_message(klass_method: str, *args: Any, channel: int = 1) -> bytes:
    """A content whose two body frames meet in the middle of a character."""
    header = frame_writer.header_payload(SPEC.classes.byname["basic"], len(BODY), {})
    return (
        call(klass_method, *args, channel=channel)
        + frame_writer.frame(frame_writer.HEADER, channel, header)
        + frame_writer.frame(frame_writer.BODY, channel, BODY[:3])
        + frame_writer.frame(frame_writer.BODY, channel, BODY[3:])
    )


def test_plain_txamqp_loses_the_first_part_of_a_body_cut_in_a_character() -> None:
    # A piece that is text, then pieces that meet in a character: what was kept as text so far is thrown away.
    pieces = (b"abc", BODY[:3], BODY[3:])
    header = frame_writer.header_payload(SPEC.classes.byname["basic"], sum(map(len, pieces)), {})
    data = call("basic.deliver", "tag", 1, False, "e", "k", channel=1) + frame_writer.frame(
        frame_writer.HEADER, 1, header
    )
    data += b"".join(frame_writer.frame(frame_writer.BODY, 1, piece) for piece in pieces)
    plain = AMQClient(TwistedDelegate(), "/", SPEC, clock=Clock())
    plain.makeConnection(Wire())
    got = plain.queue("tag").result.get()
    plain.dataReceived(data)
    play = Play()
    channel = play.channel()
    bodies: list[bytes] = []

    class Taking:
        def delivered(self, *args: Any) -> None:
            bodies.append(args[-1])

        def too_large(self, *args: Any) -> None:
            raise AssertionError("nothing is too large")

    play.connection.reader.receivers[channel.id] = Taking()
    play.broker(data)
    assert bodies == [b"abc" + BODY]
    assert got.result.content.body == BODY


def test_a_message_that_was_fetched_is_bytes_too() -> None:
    play = Play()
    channel = play.channel()
    getting = channel.basic_get(queue="q")
    play.broker(halved_message("basic.get-ok", 1, False, "e", "k", 0, channel=channel.id))
    assert result_of(getting).content.body == BODY


def test_garbage_ends_the_connection() -> None:
    play = Play()
    play.broker(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert play.wire.aborted
    assert "does not speak AMQP" in str(play.connection.close_reason)


@pytest.mark.parametrize("within", [True, False])
def test_shutting_waits_for_the_broker_but_not_for_ever(within: bool) -> None:
    play = Play(heartbeat=100, wanted_heartbeat=100)
    shut = Deferred.fromCoroutine(play.connection.close_gracefully(3))
    assert play.wire.calls() == [("connection.close", (200, "shutting down", 0, 0))]
    if within:
        play.broker(call("connection.close-ok"))
    else:
        play.clock.advance(3)
    assert play.wire.disconnecting
    play.connection.connectionLost(Failure(ConnectionDone()))
    result_of(shut)
    assert play.clock.getDelayedCalls() == []


def test_nothing_is_written_after_the_end() -> None:
    play = Play()
    play.connection.abort("a test")
    play.wire.clear()
    play.connection.write(b"late")
    assert play.wire.value() == b""


# -- publishing ---------------------------------------------------------------------------------


def opened_publisher(play: Play) -> tuple[ConfirmingPublisher, int]:
    """A publisher and the number of its channel."""
    opening = Deferred.fromCoroutine(ConfirmingPublisher.open(play.connection))
    number = max(play.connection.channels)
    play.broker(call("channel.open-ok", "", channel=number) + call("confirm.select-ok", channel=number))
    play.wire.clear()
    return result_of(opening), number


def test_a_message_goes_out_in_one_write_with_its_body_in_frames() -> None:
    play = Play(frame_max=4096)
    publisher, number = opened_publisher(play)
    publisher.publish("callevt", "größe", b"x" * 5000, mandatory=True)
    method, header, *bodies = play.wire.sent()
    assert method.payload.args == (0, "callevt", "größe", True, False)
    assert header.payload.size == 5000
    assert header.payload.properties == {
        "content-type": "application/json",
        "delivery-mode": 1,
        "message-id": "1",
    }
    assert [len(body.payload.content) for body in bodies] == [4088, 912]
    assert {frame.channel for frame in (method, header, *bodies)} == {number}


def test_one_confirm_may_be_for_many_messages() -> None:
    play = Play()
    publisher, number = opened_publisher(play)
    results = [publisher.publish("e", "k", b"{}", mandatory=False) for _ in range(5)]
    play.broker(call("basic.ack", 2, False, channel=number))
    assert [result.called for result in results] == [False, True, False, False, False]
    play.broker(call("basic.ack", 4, True, channel=number))
    assert [result.called for result in results] == [True, True, True, True, False]
    play.broker(call("basic.nack", 5, False, False, channel=number))
    with pytest.raises(BusUnavailable, match="could not take"):
        result_of(results[4])


def test_messages_without_confirm_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "MAX_UNCONFIRMED", 2)
    play = Play()
    publisher, number = opened_publisher(play)
    for _ in range(2):
        publisher.publish("e", "k", b"{}", mandatory=False)
    with pytest.raises(BusUnavailable, match="wait for the broker"):
        result_of(publisher.publish("e", "k", b"{}", mandatory=False))
    play.broker(call("basic.ack", 2, True, channel=number))
    assert not publisher.publish("e", "k", b"{}", mandatory=False).called


def test_when_the_channel_is_closed_nothing_waits_any_longer() -> None:
    play = Play()
    publisher, number = opened_publisher(play)
    waiting = publisher.publish("e", "k", b"{}", mandatory=False)
    play.broker(call("channel.close", 404, "NOT_FOUND - no exchange 'e'", 60, 40, channel=number))
    with pytest.raises(BusUnavailable, match="no exchange 'e'"):
        result_of(waiting)
    with pytest.raises(BusUnavailable, match="no exchange 'e'"):
        result_of(publisher.publish("e", "k", b"{}", mandatory=False))


def test_a_message_larger_than_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "MAX_MESSAGE_BYTES", 10)
    with pytest.raises(ValueError, match="13 bytes"):
        publisher_module.encode({"a": "12345"})
    assert publisher_module.encode({"a": "12"}) == b'{"a":"12"}'
