from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.delivery.dead_letters import DeadLetters
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from tests.webhooks.fakes import FakeDeliveryStore
from tests.webhooks.harness import results_of
from tests.webhooks.hook_factory import ACCOUNT


class Harness:
    def __init__(self) -> None:
        self.clock, self.store = Clock(), FakeDeliveryStore()
        self.clock.advance(1000)
        self.due: list[float] = []
        self.writer = DeliveryWriter(self.clock, self.store, on_due=lambda _: None)
        self.dead_letters = DeadLetters(self.clock, self.store, self.writer, on_due=self.due.append)

    def enqueue(self, event_id: str, hook_id: str = "h1", next_attempt: float | None = None) -> None:
        """Enqueue a delivery, which is not written yet."""
        delivery = Delivery(event_id, hook_id, ACCOUNT, "channel_create", event_id, {}, 0.0, attempts=5)
        self.writer.enqueue(delivery, next_attempt, "answered 500")


def test_a_page_has_what_is_not_written_yet() -> None:
    harness = Harness()
    harness.enqueue("dead")
    harness.enqueue("waiting", next_attempt=2000.0)
    for status in ("dead", "waiting"):
        wanted = "pending" if status == "waiting" else status
        (page,) = results_of(
            Deferred.fromCoroutine(harness.dead_letters.page(ACCOUNT, None, wanted, None, 10))
        )
        assert [one.delivery.event_id for one in page] == [status]


def test_retry_makes_a_delivery_due_now() -> None:
    harness = Harness()
    harness.enqueue("e1")
    retried = results_of(Deferred.fromCoroutine(harness.dead_letters.retry(ACCOUNT, "h1", "e1")))
    assert (retried, harness.due) == ([True], [1000.0])
    (row,) = harness.store.rows.values()
    assert (row.status, row.next_attempt, row.delivery.attempts) == ("pending", 1000.0, 0)


def test_retry_of_an_unknown_delivery() -> None:
    harness = Harness()
    harness.enqueue("e1")
    for hook_id, delivery_id in (("h1", "e2"), ("h2", "e1")):
        retried = results_of(
            Deferred.fromCoroutine(harness.dead_letters.retry(ACCOUNT, hook_id, delivery_id))
        )
        assert retried == [False]
    assert harness.store.statuses == ["dead"]


def test_replay_makes_dead_deliveries_due_now() -> None:
    harness = Harness()
    harness.enqueue("e1")
    harness.enqueue("e2", "h2")
    assert results_of(Deferred.fromCoroutine(harness.dead_letters.replay(ACCOUNT, "h2", 0.0))) == [1]
    assert (harness.store.statuses, harness.due) == (["dead", "pending"], [1000.0])
    assert results_of(Deferred.fromCoroutine(harness.dead_letters.replay(ACCOUNT, None, 0.0))) == [1]
    assert harness.store.statuses == ["pending", "pending"]
