from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import AccountLimits
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptFormat, AttemptInfo
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.auto_disabler import AutoDisabler
from kazoo_bridge.webhooks.delivery.probe_schedule import ProbeSchedule
from kazoo_bridge.webhooks.hooks.hook_service import TOO_MANY_FAILURES, HookService
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.sender import Outcome
from kazoo_bridge.webhooks.notification_sender import RETRY_INTERVAL, NotificationSender
from tests.webhooks.fakes import FakeAttemptStore, FakeBus, FakeHookStore, FakeLimitStore
from tests.webhooks.harness import results_of
from tests.webhooks.hook_factory import ACCOUNT, RULES, make_hook, stored_hook

HOOK = stored_hook()


class Harness:
    """A disabler for one hook, which is enabled. Its window is 60 seconds."""

    def __init__(self, *, self_healing: bool = True) -> None:
        self.clock = Clock()
        self.suspended: list[str] = []
        self.attempts, self.limits, self.bus = FakeAttemptStore(), FakeLimitStore(), FakeBus()
        self.hooks, self.registry = FakeHookStore(hooks={HOOK.id: HOOK}), HookRegistry()
        self.recorder = AttemptRecorder(self.clock, self.attempts, False, AttemptFormat(0, 1000))
        self.disabler = AutoDisabler(
            self.clock,
            Webhooks(attempt_failure_count=6, attempt_failure_expiry_ms=60_000, self_healing=self_healing),
            self.attempts,
            self.limits,
            self.recorder,
            HookService(
                self.clock,
                self.hooks,
                self.registry,
                RULES,
                check_uri=self._permit,
                on_changed=lambda action, hook: None,
                on_hook_loaded=lambda hook_id, became_enabled: None,
            ),
            NotificationSender(self.clock, self.bus),
            ProbeSchedule(30.0, 1000.0),
            self._on_suspended,
        )

    async def _on_suspended(self, hook_id: str) -> None:
        self.suspended.append(hook_id)

    async def _permit(self, uri: str) -> str | None:
        return None

    @property
    def check_times(self) -> list[float]:
        return [now for now, _, _ in self.attempts.limit_checks]

    @property
    def document(self) -> Any:
        return self.hooks.hooks[HOOK.id].document

    def disable(self, revision: str = HOOK.revision, reason: str = "gone") -> bool:
        work = self.disabler.disable(ACCOUNT, HOOK.id, revision, reason)
        (disabled,) = results_of(Deferred.fromCoroutine(work))
        assert isinstance(disabled, bool)
        return disabled

    def check(self) -> None:
        assert results_of(Deferred.fromCoroutine(self.disabler.check())) == [None]

    def pump(self, seconds: int) -> None:
        for _ in range(seconds * 4):
            self.clock.advance(0.25)


@pytest.mark.parametrize(
    ("shortest_ms", "times"),
    [
        (None, [15.0, 30.0, 45.0]),
        (200_000, [15.0, 30.0, 45.0]),
        (20_000, [15.0, 20.0, 25.0]),
        (1, [15.0, 16.0, 17.0]),
    ],
)
def test_checks_every_quarter_of_the_shortest_window(shortest_ms: int | None, times: list[float]) -> None:
    harness = Harness()
    harness.limits.limits[ACCOUNT] = AccountLimits(attempt_failure_expiry_ms=shortest_ms)
    harness.disabler.startService()
    harness.pump(46)
    assert harness.check_times[:3] == times
    assert {(count, window) for _, count, window in harness.attempts.limit_checks} == {(6, 60.0)}
    assert results_of(harness.disabler.stopService()) == [None]
    assert harness.clock.getDelayedCalls() == []


def test_a_hook_over_its_limit_is_disabled() -> None:
    harness = Harness()
    harness.attempts.over_limit = [(ACCOUNT, HOOK.id, HOOK.revision)]
    harness.check()
    assert (harness.document["enabled"], harness.document["disable_reason"]) == (False, TOO_MANY_FAILURES)
    (published,) = harness.bus.published
    assert published[:2] == ("notifications", "notifications.webhook.disabled")
    assert (published[2]["Account-ID"], published[2]["Hook-ID"]) == (ACCOUNT, HOOK.id)
    suspension = harness.hooks.hooks[HOOK.id].suspension
    assert suspension is not None
    assert (suspension.since, suspension.probes) == (0.0, 0)
    assert 30 <= suspension.next_probe <= 36
    assert harness.suspended == [HOOK.id]


def test_a_suspended_hook_is_not_suspended_again() -> None:
    harness = Harness()
    harness.attempts.over_limit = [(ACCOUNT, HOOK.id, HOOK.revision)]
    harness.check()
    revision = harness.hooks.hooks[HOOK.id].revision
    harness.attempts.over_limit = [(ACCOUNT, HOOK.id, revision)]
    harness.check()
    assert harness.hooks.hooks[HOOK.id].revision == revision
    assert (len(harness.bus.published), harness.suspended) == (1, [HOOK.id])


def test_without_self_healing_a_hook_stays_disabled() -> None:
    harness = Harness(self_healing=False)
    harness.attempts.over_limit = [(ACCOUNT, HOOK.id, HOOK.revision)]
    harness.check()
    assert (harness.document["enabled"], harness.document["disable_reason"]) == (False, TOO_MANY_FAILURES)
    assert harness.hooks.hooks[HOOK.id].suspension is None
    assert (len(harness.bus.published), harness.suspended) == (1, [])


def test_a_gone_receiver_ends_the_suspension() -> None:
    harness = Harness()
    harness.attempts.over_limit = [(ACCOUNT, HOOK.id, HOOK.revision)]
    harness.check()
    assert not harness.disable(harness.hooks.hooks[HOOK.id].revision, "answered 410")
    assert harness.hooks.hooks[HOOK.id].suspension is None
    assert harness.document["disable_reason"] == "answered 410"
    assert len(harness.bus.published) == 1


def test_a_check_counts_what_has_just_been_recorded() -> None:
    harness = Harness()
    hook = make_hook()
    harness.recorder.record(hook, build_request(hook, {}, ""), Outcome(False, 500), AttemptInfo("e1", 0, 0))
    harness.check()
    assert (len(harness.attempts.stored), harness.check_times) == (1, [0.0])


def test_a_disabled_hook_is_logged() -> None:
    harness = Harness()
    with capturedLogs() as logs:
        harness.disable(reason="gone")
    (log,) = [log for log in logs if log["log_level"].name == "warn"]
    assert (log["hook_id"], log["account_id"], log["reason"]) == (HOOK.id, ACCOUNT, "gone")


def test_a_hook_that_has_been_changed_is_not_disabled() -> None:
    harness = Harness()
    assert not harness.disable(revision="0-x")
    assert harness.document["enabled"]
    assert harness.bus.published == []


def test_a_hook_is_disabled_without_a_bus() -> None:
    harness = Harness()
    harness.bus.down = True
    harness.disable()
    assert not harness.document["enabled"]
    harness.bus.down = False
    harness.clock.advance(RETRY_INTERVAL)
    assert [key for _, key, _ in harness.bus.published] == ["notifications.webhook.disabled"]


def test_checks_go_on_while_limits_cannot_be_read() -> None:
    harness = Harness()
    harness.limits.down = True
    harness.attempts.over_limit = [(ACCOUNT, HOOK.id, HOOK.revision)]
    harness.disabler.startService()
    with capturedLogs() as logs:
        harness.pump(31)
    assert harness.check_times == [15.0, 30.0]
    assert len(harness.bus.published) == 1
    reasons = [str(log["reason"]) for log in logs if "looked for" in log["log_format"]]
    assert reasons == ["the disk is full"] * 2
    harness.disabler.stopService()


def test_checks_go_on_after_a_defect() -> None:
    harness = Harness()
    harness.limits.error = RuntimeError("a defect")
    harness.disabler.startService()
    with capturedLogs() as logs:
        harness.pump(31)
    assert harness.check_times == [15.0, 30.0]
    assert [str(log["log_failure"].value) for log in logs if "log_failure" in log] == ["a defect"] * 2
    harness.disabler.stopService()


def test_stopping_waits_for_the_active_check() -> None:
    harness = Harness()
    harness.disabler.startService()
    harness.attempts.manual = True
    harness.pump(15)
    stopped = results_of(harness.disabler.stopService())
    assert stopped == []
    harness.attempts.answer()
    assert stopped == [None]
    assert harness.clock.getDelayedCalls() == []
