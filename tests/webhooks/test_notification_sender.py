from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.webhooks.kazoo_messages import webhook_disabled, webhook_recovered
from kazoo_bridge.webhooks.notification_sender import MAX_WAITING, RETRY_INTERVAL, NotificationSender
from tests.webhooks.fakes import FakeBus


def make_sender(*, down: bool = False) -> tuple[Clock, FakeBus, NotificationSender]:
    clock, bus = Clock(), FakeBus()
    bus.down = down
    return clock, bus, NotificationSender(clock, bus)


def test_a_notification_is_published_at_once_and_once() -> None:
    clock, bus, sender = make_sender()
    message = webhook_disabled("a", "h")
    sender.send(message)
    assert bus.published == [message]
    assert clock.getDelayedCalls() == []


def test_notifications_wait_for_the_bus_in_their_order() -> None:
    clock, bus, sender = make_sender(down=True)
    messages = [webhook_disabled("a", "h"), webhook_recovered("a", "h")]
    for message in messages:
        sender.send(message)
    clock.advance(RETRY_INTERVAL)
    assert bus.published == []
    bus.down = False
    clock.advance(RETRY_INTERVAL)
    assert bus.published == messages
    assert clock.getDelayedCalls() == []


def test_beyond_the_bound_the_oldest_is_dropped_and_named() -> None:
    clock, bus, sender = make_sender(down=True)
    with capturedLogs() as logs:
        for number in range(MAX_WAITING + 1):
            sender.send(webhook_disabled("a", f"h{number}"))
    assert [log["hook_id"] for log in logs if "not sent" in log["log_format"]] == ["h0"]
    bus.down = False
    clock.advance(RETRY_INTERVAL)
    assert len(bus.published) == MAX_WAITING


def test_what_waits_when_the_service_stops_is_named() -> None:
    clock, _, sender = make_sender(down=True)
    sender.send(webhook_disabled("a", "h1"))
    with capturedLogs() as logs:
        sender.stop()
        sender.send(webhook_disabled("a", "h2"))
    assert [log["hook_id"] for log in logs if "not sent" in log["log_format"]] == ["h1", "h2"]
    assert clock.getDelayedCalls() == []
