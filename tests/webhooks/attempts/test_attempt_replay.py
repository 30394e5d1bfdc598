from __future__ import annotations

from typing import Any

import pytest
from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import Attempt, Delivery, NotReplayable, StorageUnavailable, UnknownAttempt
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.attempt_replay import AttemptReplayer
from kazoo_bridge.webhooks.attempts.kept_delivery import encode_delivery
from kazoo_bridge.webhooks.http.http_request import HookRequest
from tests.webhooks.fakes import FakeHookStore
from tests.webhooks.harness import Harness, make_harness, results_of
from tests.webhooks.hook_factory import ACCOUNT


@define
class HookReader:
    """Reads hooks like `HookService`."""

    store: FakeHookStore

    async def get(self, account_id: str, hook_id: str) -> Any:
        return await self.store.get(account_id, hook_id)


@define
class ReplayHarness:
    harness: Harness
    replayer: AttemptReplayer
    due: list[float]

    def keep(self, delivery: Delivery, **document: Any) -> None:
        """Store an attempt at a delivery."""
        text = encode_delivery(delivery, HookRequest("POST", "http://h/", {}, b""), 10_000)
        attempt = Attempt(
            ACCOUNT,
            delivery.hook_id,
            "1-x",
            False,
            1.0,
            document,
            replay=text,
            event_account_id=delivery.event_account_id,
        )
        self.harness.attempts.stored.append(attempt)

    def replay(self, attempt_id: int = 0, account_id: str = ACCOUNT, hook_id: str | None = None) -> Any:
        """The result, or the error."""
        work = self.replayer.replay(account_id, hook_id, attempt_id)
        (result,) = results_of(Deferred.fromCoroutine(work))
        return result.value if isinstance(result, Failure) else result


def make_replay_harness() -> ReplayHarness:
    _, harness = make_harness(reachable=True, started=False)
    due: list[float] = []
    hooks: Any = HookReader(harness.hooks)
    recorder: AttemptRecorder = harness.recorder
    replayer = AttemptReplayer(
        harness.clock, recorder, harness.deliveries, hooks, harness.directory, due.append
    )
    harness.clock.advance(100)
    return ReplayHarness(harness, replayer, due)


def test_a_delivered_event_is_stored_again_under_its_id() -> None:
    replay = make_replay_harness()
    delivery = evolve(replay.harness.delivery(replay.harness.hook()), attempts=1, created=5.0)
    replay.keep(delivery)
    stored = replay.replay()
    assert stored.delivery == evolve(delivery, attempts=0, replayed_at=100.0)
    assert (stored.status, stored.next_attempt) == ("pending", 100.0)
    (row,) = replay.harness.deliveries.rows.values()
    assert (row.delivery, row.status, row.next_attempt) == (stored.delivery, "pending", 100.0)
    assert replay.due == [100.0]


def test_a_dead_delivery_becomes_due() -> None:
    replay = make_replay_harness()
    hook = replay.harness.hook()
    replay.harness.store(hook, "e1", next_attempt=None)
    replay.keep(replay.harness.delivery(hook))
    replay.replay(hook_id=hook.id)
    assert replay.harness.deliveries.statuses == ["pending"]


def test_an_inline_hook_needs_no_stored_one() -> None:
    replay = make_replay_harness()
    delivery = replay.harness.delivery(replay.harness.hook())
    replay.keep(evolve(delivery, hook_id="inline", inline_hook={"uri": "http://h/"}))
    assert replay.replay().delivery.inline_hook == {"uri": "http://h/"}


@pytest.mark.parametrize(
    "request_of", [{"attempt_id": 1}, {"account_id": "b" * 32}, {"hook_id": "h2"}, {"attempt_id": 10**18}]
)
def test_other_attempts_are_unknown(request_of: dict[str, Any]) -> None:
    replay = make_replay_harness()
    replay.keep(replay.harness.delivery(replay.harness.hook()))
    assert isinstance(replay.replay(**request_of), UnknownAttempt)
    assert replay.harness.deliveries.rows == {}


def test_an_attempt_at_the_event_of_an_account_that_has_moved_is_unknown() -> None:
    replay = make_replay_harness()
    delivery = replay.harness.delivery(replay.harness.hook())
    replay.keep(evolve(delivery, event_account_id="c" * 32))
    replay.harness.directory.known["c" * 32] = ("b" * 32,)
    assert isinstance(replay.replay(), UnknownAttempt)
    assert replay.harness.deliveries.rows == {}
    replay.harness.directory.known["c" * 32] = (ACCOUNT, "b" * 32)
    assert replay.replay().status == "pending"


@pytest.mark.parametrize(
    ("case", "reason"), [("sample", "it was a sample"), ("large", "too large"), ("deleted", "deleted")]
)
def test_what_cannot_be_replayed(case: str, reason: str) -> None:
    replay = make_replay_harness()
    hook = replay.harness.hook()
    if case == "large":
        replay.harness.attempts.stored.append(Attempt(ACCOUNT, hook.id, "1-x", True, 1.0, {}))
    else:
        replay.keep(replay.harness.delivery(hook), **({"test": True} if case == "sample" else {}))
    if case == "deleted":
        replay.harness.hooks.hooks.clear()
    error = replay.replay()
    assert isinstance(error, NotReplayable)
    assert reason in str(error)
    assert replay.harness.deliveries.rows == {}


def test_without_storage_nothing_is_replayed() -> None:
    replay = make_replay_harness()
    replay.keep(replay.harness.delivery(replay.harness.hook()))
    replay.harness.deliveries.down = True
    assert isinstance(replay.replay(), StorageUnavailable)
    assert replay.due == []
