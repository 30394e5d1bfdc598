"""Channels: responses, the end of a channel, bodies."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from txamqp.client import TwistedDelegate
from txamqp.connection import Body
from txamqp.content import Content
from txamqp.protocol import AMQClient

from kazoo_bridge.bus.amqp.connection.channel import ResponseQueue
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel
from tests.bus.amqp.fake_broker import SPEC, ConnectionHarness, FakeTransport, method, result_of

MANY = 3000


def test_a_body_is_sent_although_the_broker_offers_frame_size_0() -> None:
    harness = ConnectionHarness(frame_max=0)
    channel = harness.open_channel()
    channel.basic_publish(exchange="e", routing_key="k", content=Content("größe" * 50_000))
    bodies = [frame.payload.content for frame in harness.transport.sent() if isinstance(frame.payload, Body)]
    assert b"".join(bodies) == ("größe" * 50_000).encode()
    assert max(map(len, bodies)) + frame_writer.OVERHEAD == 131072

    plain = AMQClient(TwistedDelegate(), "/", SPEC, clock=Clock())
    transport = FakeTransport()
    plain.makeConnection(transport)
    plain.MAX_LENGTH = 0
    plain_channel = plain.channel(1).result
    transport.clear()
    plain_channel.basic_publish(exchange="e", routing_key="k", content=Content("body")).addErrback(
        lambda _failure: None
    )
    assert b"body" not in transport.value()


def test_a_closed_channel_leaves_the_connection_alone() -> None:
    harness = ConnectionHarness()
    first, second = harness.open_channel(), harness.open_channel()
    ended = first.when_closed()
    declared = first.queue_declare(queue="größe", passive=True)
    harness.transport.clear()
    harness.receive(method("channel.close", 404, "NOT_FOUND - größe", 50, 10, channel=first.id))
    with pytest.raises(BrokerClosedChannel, match="404 NOT_FOUND - größe"):
        result_of(declared)
    assert result_of(ended).code == 404
    assert harness.transport.methods() == [("channel.close-ok", ())]
    with pytest.raises(BrokerClosedChannel):
        result_of(first.basic_qos())
    assert harness.connection.close_reason is None
    qos = second.basic_qos(prefetch_count=1)
    harness.receive(method("basic.qos-ok", channel=second.id))
    result_of(qos)
    assert harness.open_channel().id == first.id


def test_flow_is_answered() -> None:
    harness = ConnectionHarness()
    channel = harness.open_channel()
    harness.receive(method("channel.flow", True, channel=channel.id))
    assert harness.transport.methods() == [("channel.flow-ok", (True,))]


BODY = "größe".encode()


def halved_message(klass_method: str, *args: Any, channel: int = 1) -> bytes:
    """A content whose two body frames meet in the middle of a character."""
    header = frame_writer.header_payload(SPEC.classes.byname["basic"], len(BODY), {})
    return (
        method(klass_method, *args, channel=channel)
        + frame_writer.frame(frame_writer.HEADER, channel, header)
        + frame_writer.frame(frame_writer.BODY, channel, BODY[:3])
        + frame_writer.frame(frame_writer.BODY, channel, BODY[3:])
    )


def test_a_message_that_was_fetched_has_bytes_as_its_body() -> None:
    harness = ConnectionHarness()
    channel = harness.open_channel()
    getting = channel.basic_get(queue="q")
    harness.receive(halved_message("basic.get-ok", 1, False, "e", "k", 0, channel=channel.id))
    assert result_of(getting).content.body == BODY


def test_closing_fails_thousands_of_waiting_calls_without_recursion() -> None:
    responses = ResponseQueue()
    ends: list[Any] = []
    for _ in range(MANY):
        responses.get().addErrback(ends.append)
    responses.close()
    assert len(ends) == MANY
    responses.get().addErrback(ends.append)
    assert len(ends) == MANY + 1


def test_the_first_reason_for_closing_a_channel_is_kept() -> None:
    harness = ConnectionHarness()
    channel = harness.open_channel()
    ended = [channel.when_closed(), channel.when_closed()]
    harness.receive(method("channel.close", 406, "PRECONDITION_FAILED - no", 50, 10, channel=channel.id))
    harness.connection.abort("later")
    assert [str(result_of(one)) for one in (*ended, channel.when_closed())] == [
        "406 PRECONDITION_FAILED - no"
    ] * 3
