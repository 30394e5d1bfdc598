"""One attempt at a delivery, and what follows from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptInfo, AttemptRecorder
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler, Slot
from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import HookRequest, build_request
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from kazoo_bridge.webhooks.http.signing import signature_headers
from kazoo_bridge.webhooks.metrics import AttemptMetrics

_log = Logger()

_GONE = 410

#: Disables a hook whose receiver says that it is gone: the hook, and why.
OnGone = Callable[[Hook, str], Awaitable[None]]


@frozen
class AttemptResult:
    """What becomes of a delivery after an attempt. `next_attempt` is None when there will be none."""

    delivered: bool
    attempts: int
    next_attempt: float | None = None
    reason: str = ""


@define(eq=False)
class AttemptRunner:
    """Sends a delivery once, keeps the attempt, and says what is next."""

    _clock: IReactorTime
    _sender: Sender
    _scheduler: FairScheduler
    _recorder: AttemptRecorder
    _policy: RetryPolicy
    _on_gone: OnGone
    cluster_id: str = ""
    metrics: AttemptMetrics = field(init=False, factory=AttemptMetrics)

    async def attempt(self, hook: Hook, delivery: Delivery, turn: Slot) -> AttemptResult:
        """Use up `turn`, which has been granted. Never raises for what a receiver does."""
        tries = delivery.attempts + 1
        try:
            request = self.request(hook, delivery)
        except (TypeError, ValueError) as error:
            self._scheduler.release(turn, None)
            _log.error(
                "hook {hook_id} cannot be told of {event}: {reason}",
                hook_id=hook.id,
                event=delivery.event,
                reason=error,
            )
            return AttemptResult(False, tries, None, f"it cannot be written as the hook wants it: {error}")
        success: bool | None = None
        began = self._clock.seconds()
        try:
            outcome = await self.send(request)
            success = outcome.success
        finally:
            self._scheduler.release(turn, success)
        self.metrics.observe(success=outcome.success, seconds=self._clock.seconds() - began)
        left = self._policy.quick_retries_left(hook, tries)
        self._recorder.record(hook, request, outcome, AttemptInfo(delivery.event_id, hook.retries, left))
        if outcome.success:
            return AttemptResult(True, tries)
        return await self._failed(hook, outcome, tries)

    def request(self, hook: Hook, delivery: Delivery) -> HookRequest:
        """What goes over the wire; raises TypeError or ValueError when the payload cannot be written."""
        request = build_request(hook, delivery.payload, self.cluster_id)
        # By the id receivers tell repetitions, whether the hook is signed or not.
        identity = {"webhook-id": delivery.id}
        signature = (
            signature_headers(hook.secrets, delivery.id, self._clock.seconds(), request.body)
            if hook.secrets
            else {}
        )
        return evolve(request, headers={**request.headers, **identity, **signature})

    async def send(self, request: HookRequest) -> Outcome:
        """One request, whatever becomes of it."""
        return await self._sender.send(request)

    async def _failed(self, hook: Hook, outcome: Outcome, tries: int) -> AttemptResult:
        reason = outcome.error or f"answered {outcome.status}"
        _log.info(
            "hook {hook_id} of account {account_id}: {reason} (attempt {tries})",
            hook_id=hook.id,
            account_id=hook.account_id,
            reason=reason,
            tries=tries,
        )
        now = self._clock.seconds()
        if outcome.status == _GONE:
            if not hook.revision:
                return AttemptResult(
                    False, tries, None, reason
                )  # an event has brought it, so there is nothing to disable
            await self._on_gone(hook, "the receiver answered 410 Gone")
            return AttemptResult(False, tries, now, reason)  # it waits until the hook is enabled again
        return AttemptResult(False, tries, self._policy.next_attempt(hook, tries, outcome, now), reason)
