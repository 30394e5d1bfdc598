"""The connection, with the test as the broker; and what plain txAMQP does in the same situation."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from txamqp.client import TwistedDelegate
from txamqp.protocol import AMQClient

from kazoo_bridge.bus.amqp.connection.connection import CAPABILITIES
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedConnection, ConnectionGone
from kazoo_bridge.bus.amqp.wire.frame_reader import RawDelivery
from tests.bus.amqp.fake_broker import SPEC, START, ConnectionHarness, FakeTransport, method, result_of


class FakeReceiver:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.deliveries: list[RawDelivery] = []
        self.cancelled = 0

    def on_delivery(self, delivery: RawDelivery) -> None:
        self.deliveries.append(delivery)

    def on_oversized(self, delivery_tag: int, exchange: str, routing_key: str, size: int) -> None:
        raise AssertionError("no message is too large")

    def on_cancelled(self) -> None:
        self.cancelled += 1

    def on_read_end(self) -> None:
        """Do nothing: the deliveries are kept already."""


def test_the_login_sends_credentials_name_and_capabilities() -> None:
    harness = ConnectionHarness()
    result_of(harness.logged_in)
    [(name, (properties, mechanism, response, _locale))] = harness.start_ok
    assert (name, mechanism, response) == ("connection.start-ok", "PLAIN", "\0üser\0päss")
    assert properties["connection_name"] == "the name"
    assert properties["capabilities"] == dict.fromkeys(CAPABILITIES, True)
    assert ("connection.open", ("/größe", "", False)) in harness.tuned
    assert harness.connection.server_properties == {"product": "größe", "list": [1, {"a": None}], "n": 2**40}


def test_plain_txamqp_fails_on_the_same_greeting() -> None:
    client = AMQClient(TwistedDelegate(), "/", SPEC, clock=Clock())
    client.makeConnection(FakeTransport())
    with pytest.raises(ValueError, match="b'A'"):
        client.dataReceived(START)


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(0, 131072), (4096, 4096), (131072, 131072), (1_000_000, 131072)],
)
def test_the_frame_size_is_agreed_upon(offered: int, agreed: int) -> None:
    harness = ConnectionHarness(frame_max=offered)
    assert ("connection.tune-ok", (2047, agreed, 0)) in harness.tuned
    assert agreed == harness.connection.MAX_LENGTH


@pytest.mark.parametrize(
    ("offered", "wanted", "agreed"), [(60, 30, 30), (10, 30, 10), (0, 30, 30), (60, 0, 0)]
)
def test_the_heartbeat_is_agreed_upon(offered: int, wanted: int, agreed: int) -> None:
    harness = ConnectionHarness(heartbeat=offered, wanted_heartbeat=wanted)
    assert ("connection.tune-ok", (2047, 131072, agreed)) in harness.tuned
    harness.connection.connectionLost(Failure(ConnectionDone()))
    assert harness.clock.getDelayedCalls() == []


def test_heartbeats_are_sent_when_nothing_else_is() -> None:
    harness = ConnectionHarness(heartbeat=10, wanted_heartbeat=10)
    harness.transport.clear()
    beats = 0
    for _ in range(20):
        harness.receive(frame_writer.HEARTBEAT_FRAME)
        harness.clock.advance(5)
        beats += harness.transport.value().count(frame_writer.HEARTBEAT_FRAME)
        harness.transport.clear()
    assert 10 <= beats <= 20
    assert not harness.transport.aborted
    harness.connection.write(frame_writer.acknowledge(1, 1, False))
    harness.clock.advance(5)
    assert frame_writer.HEARTBEAT_FRAME not in harness.transport.value()


def test_a_peer_that_is_silent_for_two_intervals_is_disconnected() -> None:
    harness = ConnectionHarness(heartbeat=10, wanted_heartbeat=10)
    harness.clock.pump([5] * 4)
    assert not harness.transport.aborted
    harness.clock.pump([5])
    assert harness.transport.aborted
    assert "no sign of life for 20 seconds" in str(harness.connection.close_reason)
    assert harness.clock.getDelayedCalls() == []


def test_any_frame_counts_as_a_heartbeat() -> None:
    harness = ConnectionHarness(heartbeat=10, wanted_heartbeat=10)
    for _ in range(10):
        harness.receive(method("connection.unblocked"))
        harness.clock.advance(9)
    assert not harness.transport.aborted


def test_a_refused_login_fails_with_the_code_and_text_of_the_broker() -> None:
    harness = ConnectionHarness(login=False)
    harness.receive(method("connection.close", 403, "ACCESS_REFUSED - no", 0, 0))
    with pytest.raises(BrokerClosedConnection, match="403 ACCESS_REFUSED - no") as caught:
        result_of(harness.logged_in)
    assert caught.value.code == 403
    assert harness.transport.methods() == [("connection.close-ok", ())]
    assert harness.transport.disconnecting


def test_a_connection_that_breaks_during_the_login_fails_it() -> None:
    harness = ConnectionHarness(login=False)
    harness.connection.connectionLost(Failure(ConnectionDone()))
    with pytest.raises(ConnectionGone, match="without a word"):
        result_of(harness.logged_in)


def test_closing_the_connection_fails_all_waiting_calls() -> None:
    harness = ConnectionHarness()
    channel = harness.open_channel()
    waiting = channel.basic_qos()
    ended = channel.when_closed()
    harness.receive(method("connection.close", 320, "CONNECTION_FORCED - node is going down", 0, 0))
    with pytest.raises(BrokerClosedConnection, match="320"):
        result_of(waiting)
    assert isinstance(result_of(ended), BrokerClosedConnection)
    with pytest.raises(BrokerClosedConnection):
        result_of(Deferred.fromCoroutine(harness.connection.open_channel()))


def test_blocking_and_unblocking_are_reported() -> None:
    harness = ConnectionHarness()
    harness.receive(method("connection.blocked", "low on memory"))
    assert harness.connection.blocked == "low on memory"
    harness.receive(method("connection.unblocked"))
    assert harness.connection.blocked is None
    assert harness.blocked == ["low on memory", None]


@pytest.mark.parametrize("name", ["connection.blocked", "basic.cancel"])
def test_plain_txamqp_fails_on_unsolicited_methods(name: str) -> None:
    arguments = {"connection.blocked": ("low on memory",), "basic.cancel": ("tag", True)}[name]
    channel = 0 if name.startswith("connection") else 1
    plain = AMQClient(TwistedDelegate(), "/", SPEC, clock=Clock())
    transport = FakeTransport()
    plain.makeConnection(transport)
    plain.dataReceived(method(name, *arguments, channel=channel))
    assert plain.closed
    harness = ConnectionHarness()
    harness.receive(method(name, *arguments, channel=channel))
    assert harness.connection.close_reason is None


def test_a_consumer_that_the_broker_cancels_is_notified() -> None:
    harness = ConnectionHarness()
    channel = harness.open_channel()
    receiver = FakeReceiver()
    harness.connection.reader.add_receiver(channel.id, receiver)
    harness.transport.clear()
    harness.receive(method("basic.cancel", "tag", False, channel=channel.id))
    assert receiver.cancelled == 1
    assert harness.transport.methods() == [("basic.cancel-ok", ("tag",))]


BODY = "größe".encode()


def test_plain_txamqp_loses_the_first_part_of_a_body_cut_in_a_character() -> None:
    # A piece that is text, then pieces that meet in a character: what was kept as text so far is thrown away.
    pieces = (b"abc", BODY[:3], BODY[3:])
    header = frame_writer.header_payload(SPEC.classes.byname["basic"], sum(map(len, pieces)), {})
    data = method("basic.deliver", "tag", 1, False, "e", "k", channel=1) + frame_writer.frame(
        frame_writer.HEADER, 1, header
    )
    data += b"".join(frame_writer.frame(frame_writer.BODY, 1, piece) for piece in pieces)
    plain = AMQClient(TwistedDelegate(), "/", SPEC, clock=Clock())
    plain.makeConnection(FakeTransport())
    got = plain.queue("tag").result.get()
    plain.dataReceived(data)
    harness = ConnectionHarness()
    channel = harness.open_channel()

    receiver = FakeReceiver()
    harness.connection.reader.add_receiver(channel.id, receiver)
    harness.receive(data)
    assert [delivery.body for delivery in receiver.deliveries] == [b"abc" + BODY]
    assert got.result.content.body == BODY


def test_bytes_that_are_not_amqp_close_the_connection() -> None:
    harness = ConnectionHarness()
    harness.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert harness.transport.aborted
    assert "does not speak AMQP" in str(harness.connection.close_reason)


@pytest.mark.parametrize("within", [True, False])
def test_closing_waits_for_the_broker_but_not_for_ever(within: bool) -> None:
    harness = ConnectionHarness(heartbeat=100, wanted_heartbeat=100)
    shut = Deferred.fromCoroutine(harness.connection.close_gracefully(3))
    assert harness.transport.methods() == [("connection.close", (200, "shutting down", 0, 0))]
    if within:
        harness.receive(method("connection.close-ok"))
    else:
        harness.clock.advance(3)
    assert harness.transport.disconnecting
    harness.connection.connectionLost(Failure(ConnectionDone()))
    result_of(shut)
    assert harness.clock.getDelayedCalls() == []


def test_nothing_is_written_after_closing() -> None:
    harness = ConnectionHarness()
    harness.connection.abort("a test")
    harness.transport.clear()
    harness.connection.write(b"late")
    assert harness.transport.value() == b""
