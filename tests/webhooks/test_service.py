"""The assembled service: a bus and stores in memory, a real receiver."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_twisted
from prometheus_client import CollectorRegistry
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import capturedLogs

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.config import Config, Egress, Webhooks
from kazoo_bridge.interfaces import IBus, IDirectory, IEventCategory, Queue, Topic
from kazoo_bridge.spans import SpanRecorder
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.attempts.traced_attempts import TracedAttemptRunner
from kazoo_bridge.webhooks.event_handler import WebhookEventHandler
from kazoo_bridge.webhooks.service import WebhookService, WebhookStores
from kazoo_bridge.webhooks.traced_events import TracedEventHandler
from tests.fake_spans import FakeSpanRecorder
from tests.webhooks.fakes import (
    FakeAttemptStore,
    FakeCategory,
    FakeDeliveryStore,
    FakeDirectory,
    FakeHookStore,
    FakeLimitStore,
    FakeMissedEventStore,
)
from tests.webhooks.hook_factory import ACCOUNT
from tests.webhooks.receiving import Receiver

TIMEOUT = 10.0


class Harness:
    """A service with one hook of `ACCOUNT`."""

    def __init__(self, spans: SpanRecorder | None = None, **webhooks: Any) -> None:
        self.bus = EmbeddedBus(cast(Any, reactor))
        self.attempts, self.deliveries, self.hooks = FakeAttemptStore(), FakeDeliveryStore(), FakeHookStore()
        self.receiver = Receiver()
        self.deleted_accounts: list[str] = []
        config = Config(webhooks=Webhooks(**webhooks), egress=Egress(denied_networks=()))
        self.service = WebhookService.from_config(
            reactor,
            config,
            cast(IBus, self.bus),
            cast(IDirectory, FakeDirectory({ACCOUNT: ()})),
            WebhookStores(
                cast(Any, self.hooks),
                cast(Any, self.attempts),
                cast(Any, self.deliveries),
                cast(Any, FakeMissedEventStore()),
                cast(Any, FakeLimitStore()),
                cluster_id=lambda: succeed("c1"),
            ),
            [cast(IEventCategory, FakeCategory())],
            "node@host",
            self._on_account_deleted,
            spans,
        )

    async def _on_account_deleted(self, account_id: str) -> None:
        self.deleted_accounts.append(account_id)

    async def start(self, statuses: list[int]) -> str:
        """Start the service with a hook whose receiver answers with `statuses`; returns the hook's id."""
        self.receiver.statuses = statuses
        url = await self.receiver.start()
        document = {"name": "n", "uri": url, "hook": "channel_create", "retries": 0}
        stored = await self.service.hooks.create(ACCOUNT, document)
        await self.service.load()
        self.bus.startService()
        self.service.start()
        return stored.id

    def publish(self, call_id: str = "1") -> Deferred[None]:
        return self.bus.publish("callevt", "x.1", {"account": ACCOUNT, "payload": {"call_id": call_id}})

    async def stop(self) -> None:
        await self.service.stop_consuming()
        await self.service.drain(Deferred())
        await maybeDeferred(self.bus.stopService)
        await self.service.stop()
        await self.receiver.stop()


async def eventually(condition: Any) -> None:
    """Wait until `condition()` is true."""
    waiting: Deferred[None] = Deferred()

    def check() -> None:
        if condition():
            waiting.callback(None)
        else:
            cast(Any, reactor).callLater(0.01, check)

    check()
    await waiting.addTimeout(TIMEOUT, cast(Any, reactor))


@pytest_twisted.async_yield_fixture
async def harness() -> AsyncIterator[Harness]:
    made = Harness(request_timeout_ms=2000)
    yield made
    await made.stop()


@pytest_twisted.ensureDeferred
async def test_an_event_reaches_the_receiver(harness: Harness) -> None:
    hook_id = await harness.start([200])
    await harness.publish()
    await harness.receiver.arrived(1)
    (received,) = harness.receiver.received
    assert received.body == b"call_id=1&cluster_id=c1"
    assert received.headers["x-hook-id"] == hook_id
    assert harness.deliveries.rows == {}


@pytest_twisted.ensureDeferred
async def test_metrics(harness: Harness) -> None:
    await harness.start([200, 500])
    await harness.publish("1")
    await harness.receiver.arrived(1)
    await harness.publish("2")
    await eventually(lambda: harness.deliveries.rows)
    registry = CollectorRegistry()
    await harness.service.register_metrics(registry).update()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"kazoo_bridge_{name}", labels)

    assert value("webhook_events_total", exchange="callevt") == 2
    assert value("attempts_total", result="success") == value("attempts_total", result="failure") == 1
    assert value("attempt_seconds_count") == 2
    assert value("webhooks_enabled") == 1
    assert (value("requests_under_way"), value("requests_queued")) == (0, 0)
    stored = {status: value("deliveries_stored", status=status) for status in ("pending", "held", "dead")}
    assert stored == {"pending": 1, "held": 0, "dead": 0}


@pytest_twisted.ensureDeferred
async def test_a_hook_whose_receiver_is_gone_waits_until_it_is_enabled_again(harness: Harness) -> None:
    published: list[Any] = []
    notifications = harness.bus.consume(
        queue_for("notifications", "notifications.webhook.disabled"),
        lambda event: published.append(event.body["Hook-ID"]),
    )
    hook_id = await harness.start([410, 200])
    await harness.publish()
    await eventually(lambda: harness.deliveries.statuses == ["held"])
    assert harness.service.registry.get(hook_id) is None
    assert harness.hooks.hooks[hook_id].document["disable_reason"] == "the receiver answered 410 Gone"
    assert published == [hook_id]
    stored = await harness.service.hooks.get(ACCOUNT, hook_id)
    assert stored is not None
    await harness.service.hooks.patch(stored, {"enabled": True})
    await harness.receiver.arrived(2)
    await eventually(lambda: not harness.deliveries.rows)
    await notifications.cancel()


def queue_for(exchange: str, pattern: str) -> Any:
    return Queue(topics=frozenset({Topic(exchange, pattern)}))


@pytest_twisted.ensureDeferred
async def test_a_changed_hook_is_no_longer_considered_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without jitter: no retry comes before the event that follows the change.
    monkeypatch.setattr(random.Random, "uniform", lambda _self, _shortest, longest: longest)
    harness = Harness(request_timeout_ms=2000, retry_schedule_s=(3600,))
    try:
        hook_id = await harness.start([500] * 5 + [200])
        for number in range(5):
            await harness.publish(str(number))
        await eventually(lambda: len(harness.deliveries.rows) == 5)
        await eventually(lambda: harness.service._scheduler.circuit_open(hook_id))
        stored = await harness.service.hooks.get(ACCOUNT, hook_id)
        assert stored is not None
        await harness.service.hooks.patch(stored, {"name": "repaired"})
        await harness.publish("5")
        await harness.receiver.arrived(6)
        assert harness.receiver.received[5].body.startswith(b"call_id=5")
        # What is for a failing hook would have been stored before its attempt.
        assert len(harness.deliveries.rows) == 5
    finally:
        await harness.stop()


@pytest_twisted.ensureDeferred
async def test_a_deleted_account_is_reported(harness: Harness) -> None:
    hook_id = await harness.start([200])
    await harness.bus.publish(
        "configuration", f"doc_deleted.accounts.account.{ACCOUNT}", {"Type": "account", "ID": ACCOUNT}
    )
    await eventually(lambda: harness.deleted_accounts)
    assert harness.deleted_accounts == [ACCOUNT]
    assert hook_id not in harness.hooks.hooks


@pytest_twisted.ensureDeferred
async def test_drain_lets_a_request_end(harness: Harness) -> None:
    await harness.start([0])
    await harness.publish()
    await eventually(lambda: harness.receiver.hanging)
    await harness.service.stop_consuming()
    drained = Deferred.fromCoroutine(harness.service.drain(Deferred()))
    assert not drained.called
    request = harness.receiver.hanging.pop()
    request.setResponseCode(200)
    request.finish()
    await drained
    assert harness.deliveries.rows == {}


@pytest_twisted.ensureDeferred
async def test_a_forced_drain_waits_for_nothing(harness: Harness) -> None:
    await harness.start([0])
    await harness.publish()
    await harness.receiver.arrived(1)
    await harness.service.stop_consuming()
    forced: Deferred[None] = Deferred()
    with capturedLogs() as logs:
        drained = Deferred.fromCoroutine(harness.service.drain(forced))
        forced.callback(None)
        assert drained.called
        await drained
    assert [log["count"] for log in logs if "not finished" in log["log_format"]] == [1]


@pytest.mark.parametrize("disabled", [True, False])
@pytest_twisted.ensureDeferred
async def test_the_automatic_disabler_can_be_switched_off(disabled: bool) -> None:
    harness = Harness(disable_disabler=disabled)
    await harness.start([200])
    assert bool(harness.service.auto_disabler.running) is not disabled
    await harness.stop()


@pytest_twisted.ensureDeferred
async def test_a_service_that_was_never_started_can_be_stopped() -> None:
    await Harness().stop()


@pytest_twisted.ensureDeferred
async def test_nothing_starts_after_the_stop() -> None:
    harness = Harness()
    harness.bus.startService()
    await harness.service.stop_consuming()
    harness.service.start()
    assert harness.bus._consumers == {}
    assert not harness.service.recorder.running
    await harness.stop()


def test_spans_are_made_by_parts_of_their_own() -> None:
    without, service = Harness().service, Harness(FakeSpanRecorder()).service
    # Without spans nothing looks for them.
    assert type(without.event_handler) is WebhookEventHandler
    assert type(without._attempt_runner) is AttemptRunner
    assert type(service.event_handler) is TracedEventHandler
    assert type(service._attempt_runner) is TracedAttemptRunner
