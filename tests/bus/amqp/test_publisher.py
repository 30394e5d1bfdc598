"""Publishing: confirms, returned messages, limits, and the supervisor that keeps a publisher open."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp import publisher as publisher_module
from kazoo_bridge.bus.amqp.connection.request_watch import REQUEST_TIMEOUT
from kazoo_bridge.bus.amqp.publisher import ConfirmingPublisher, PublisherSupervisor
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, ConnectionGone
from kazoo_bridge.interfaces import BusUnavailable, Unroutable
from tests.bus.amqp.fake_broker import ConnectionHarness, FakeConnection, failure_of, method, result_of


def open_publisher(harness: ConnectionHarness) -> tuple[ConfirmingPublisher, int]:
    """Return a publisher and the number of its channel."""
    opening = Deferred.fromCoroutine(ConfirmingPublisher.open(harness.connection))
    number = max(harness.connection.channels)
    harness.receive(
        method("channel.open-ok", "", channel=number) + method("confirm.select-ok", channel=number)
    )
    harness.transport.clear()
    return result_of(opening), number


def test_a_message_goes_out_in_one_write_with_its_body_in_frames() -> None:
    harness = ConnectionHarness(frame_max=4096)
    publisher, number = open_publisher(harness)
    publisher.publish("callevt", "größe", b"x" * 5000, mandatory=True)
    method, header, *bodies = harness.transport.sent()
    assert method.payload.args == (0, "callevt", "größe", True, False)
    assert header.payload.size == 5000
    assert header.payload.properties == {
        "content-type": "application/json",
        "delivery-mode": 1,
        "message-id": "1",
    }
    assert [len(body.payload.content) for body in bodies] == [4088, 912]
    assert {frame.channel for frame in (method, header, *bodies)} == {number}


def test_one_confirm_may_cover_many_messages() -> None:
    harness = ConnectionHarness()
    publisher, number = open_publisher(harness)
    results = [publisher.publish("e", "k", b"{}", mandatory=False) for _ in range(5)]
    harness.receive(method("basic.ack", 2, False, channel=number))
    assert [result.called for result in results] == [False, True, False, False, False]
    harness.receive(method("basic.ack", 4, True, channel=number))
    assert [result.called for result in results] == [True, True, True, True, False]
    harness.receive(method("basic.nack", 5, False, False, channel=number))
    with pytest.raises(BusUnavailable, match="could not take"):
        result_of(results[4])


def test_unconfirmed_messages_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "MAX_UNCONFIRMED", 2)
    harness = ConnectionHarness()
    publisher, number = open_publisher(harness)
    for _ in range(2):
        publisher.publish("e", "k", b"{}", mandatory=False)
    with pytest.raises(BusUnavailable, match="wait for the broker"):
        result_of(publisher.publish("e", "k", b"{}", mandatory=False))
    harness.receive(method("basic.ack", 2, True, channel=number))
    assert not publisher.publish("e", "k", b"{}", mandatory=False).called


def test_closing_the_channel_fails_unconfirmed_and_later_messages() -> None:
    harness = ConnectionHarness()
    publisher, number = open_publisher(harness)
    waiting = publisher.publish("e", "k", b"{}", mandatory=False)
    harness.receive(method("channel.close", 404, "NOT_FOUND - no exchange 'e'", 60, 40, channel=number))
    with pytest.raises(BusUnavailable, match="no exchange 'e'"):
        result_of(waiting)
    with pytest.raises(BusUnavailable, match="no exchange 'e'"):
        result_of(publisher.publish("e", "k", b"{}", mandatory=False))


def test_a_message_larger_than_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "MAX_MESSAGE_BYTES", 10)
    with pytest.raises(ValueError, match="13 bytes"):
        publisher_module.encode({"a": "12345"})
    assert publisher_module.encode({"a": "12"}) == b'{"a":"12"}'


def test_a_returned_message_fails_alone() -> None:
    harness = ConnectionHarness()
    publisher, number = open_publisher(harness)
    lost, kept = (publisher.publish("e", key, b"{}", mandatory=True) for key in ("lost", "kept"))
    header = frame_writer.header_payload(
        harness.connection.spec.classes.byname["basic"], 2, {"message-id": "1"}
    )
    harness.receive(
        method("basic.return", 312, "NO_ROUTE", "e", "lost", channel=number)
        + frame_writer.frame(frame_writer.HEADER, number, header)
        + frame_writer.frame(frame_writer.BODY, number, b"{}")
        + method("basic.ack", 2, True, channel=number)
    )
    error = failure_of(lost)
    assert isinstance(error, Unroutable)
    assert str(error) == "no queue takes lost from the exchange e: 312 NO_ROUTE"
    assert result_of(kept) is None


# -- the supervisor -----------------------------------------------------------------------------


class SupervisorHarness:
    """A supervisor on a fake connection. It tries again after 1, 2, … seconds."""

    def __init__(self, *, holding: bool = False) -> None:
        self.clock = Clock()
        self.supervisor = PublisherSupervisor(self.clock, lambda attempt: 1.0 + attempt)
        self.connect(holding=holding)

    def connect(self, *, holding: bool = False) -> None:
        self.connection = FakeConnection(holding=holding)
        connection: Any = self.connection
        self.supervisor.connected(connection)

    def publish(self, exchange: str = "callevt") -> Deferred[None]:
        return self.supervisor.publish(exchange, "key", {"a": 1}, mandatory=False)

    def confirm(self, tag: int = 1) -> None:
        self.connection.reader.feed(method("basic.ack", tag, True, channel=1))


def test_before_the_channel_is_open_nothing_can_be_published() -> None:
    harness = SupervisorHarness(holding=True)
    assert harness.supervisor.unavailable_reason() == "publishing is not possible yet"
    assert isinstance(failure_of(harness.publish()), BusUnavailable)
    harness.connection.release()
    assert harness.supervisor.unavailable_reason() is None


def test_an_exchange_is_declared_before_its_first_use_only() -> None:
    harness = SupervisorHarness()
    results = [harness.publish(), harness.publish()]
    assert harness.connection.requests == ["confirm", "exchange callevt"]
    assert not any(result.called for result in results)
    harness.confirm(2)
    assert [result_of(result) for result in results] == [None, None]


def test_an_exchange_that_the_broker_refuses_fails_its_messages() -> None:
    harness = SupervisorHarness()
    harness.connection.refusals["exchange nowhere passively"] = BrokerClosedChannel(404, "no exchange")
    error = failure_of(harness.publish("nowhere"))
    assert isinstance(error, BusUnavailable)
    assert str(error) == "exchange nowhere cannot be used: no exchange"
    assert harness.supervisor.unavailable_reason() is None


def test_a_message_that_cannot_be_encoded_is_refused_with_a_value_error() -> None:
    harness = SupervisorHarness()
    error = failure_of(harness.supervisor.publish("callevt", "key", {"a": {1}}, mandatory=False))
    assert isinstance(error, ValueError)


def test_blocking_fails_unconfirmed_and_later_messages_until_it_ends() -> None:
    harness = SupervisorHarness()
    unconfirmed = harness.publish()
    harness.connection.blocked = "low on memory"
    harness.supervisor.on_blocked("low on memory")
    assert str(failure_of(unconfirmed)) == "broker has blocked publishing: low on memory"
    assert str(failure_of(harness.publish())) == "broker has blocked publishing: low on memory"
    harness.connection.blocked = None
    harness.supervisor.on_blocked(None)
    assert harness.supervisor.unavailable_reason() is None


def test_a_closed_channel_is_opened_again_after_a_delay_that_grows() -> None:
    harness = SupervisorHarness()
    for delay in (1.0, 2.0):
        harness.connection.channels[-1].close_by_broker(BrokerClosedChannel(404, "a test"))
        harness.clock.advance(delay - 0.1)
        assert harness.supervisor.unavailable_reason() == "publishing is not possible yet"
        harness.clock.advance(0.1)
        assert harness.supervisor.unavailable_reason() is None


def test_after_a_loss_nothing_waits_and_the_next_connection_is_used() -> None:
    harness = SupervisorHarness()
    harness.connection.channels[-1].close_by_broker(BrokerClosedChannel(404, "a test"))
    harness.supervisor.disconnected()
    assert harness.clock.getDelayedCalls() == []
    assert harness.supervisor.unavailable_reason() == "publishing is not possible yet"
    harness.connect()
    published = harness.publish()
    harness.confirm()
    assert result_of(published) is None


def test_waiters_learn_that_a_publisher_is_open_even_if_the_broker_blocks_it() -> None:
    harness = SupervisorHarness(holding=True)
    first, cancelled, last = (harness.supervisor.when_open() for _ in range(3))
    first.addCallback(lambda _: cancelled.cancel())
    cancelled.addErrback(lambda failure: failure.trap(CancelledError) and None)
    assert not last.called
    harness.connection.blocked = "low on memory"
    harness.connection.release()
    assert [result_of(one) for one in (first, cancelled, last)] == [None, None, None]
    assert harness.supervisor.when_open().called


@pytest.mark.parametrize("state", ["closed", "lost"])
def test_waiters_wait_for_the_next_connection(state: str) -> None:
    harness = SupervisorHarness()
    if state == "lost":
        harness.supervisor.disconnected()
    harness.connection.close_reason = ConnectionGone("a test")
    waiting = harness.supervisor.when_open()
    assert not waiting.called
    harness.supervisor.disconnected()
    harness.connect()
    assert result_of(waiting) is None


def test_a_probe_is_published_after_its_exchange_was_declared_again() -> None:
    harness = SupervisorHarness()
    for number in (1, 2):
        probed = Deferred.fromCoroutine(harness.supervisor.publish_probe("callevt", "probe"))
        harness.confirm(number)
        assert result_of(probed) is None
    assert harness.connection.requests == ["confirm", "exchange callevt", "exchange callevt"]


@pytest.mark.parametrize("problem", ["blocked", "refused", "disconnected"])
def test_a_probe_that_cannot_be_published_says_so(problem: str) -> None:
    harness = SupervisorHarness()
    if problem == "blocked":
        harness.connection.blocked = "memory"
    elif problem == "refused":
        harness.connection.refusals["exchange callevt"] = BrokerClosedChannel(403, "no access")
    else:
        harness.supervisor.disconnected()
    probed = Deferred.fromCoroutine(harness.supervisor.publish_probe("callevt", "probe"))
    assert isinstance(failure_of(probed), BusUnavailable)


def test_after_the_channel_was_closed_exchanges_are_declared_again() -> None:
    """It may have been closed because an exchange was deleted; otherwise the next message closes it again."""
    harness = SupervisorHarness()
    harness.publish()
    harness.confirm()
    harness.connection.channels[0].close_by_broker(BrokerClosedChannel(404, "no exchange 'callevt'"))
    harness.clock.advance(1.0)
    harness.publish()
    assert harness.connection.requests.count("exchange callevt") == 2


def test_a_broker_that_confirms_nothing_loses_the_connection() -> None:
    harness = SupervisorHarness()
    probed = Deferred.fromCoroutine(harness.supervisor.publish_probe("callevt", "probe"))
    waiting = harness.publish()
    harness.clock.advance(REQUEST_TIMEOUT)
    assert isinstance(failure_of(probed), BusUnavailable)
    assert harness.connection.aborted == ["the broker has not confirmed a message for 60 seconds"]
    assert not waiting.called  # until the connection is gone
    harness.confirm(2)
    assert result_of(waiting) is None
