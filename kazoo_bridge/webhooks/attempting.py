"""One attempt at a delivery, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.figures import Durations
from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.attempts import AttemptRecorder, Try
from kazoo_bridge.webhooks.hook import Hook
from kazoo_bridge.webhooks.outcome import Outcome
from kazoo_bridge.webhooks.requests import HookRequest, build_request
from kazoo_bridge.webhooks.schedule import RetrySchedule
from kazoo_bridge.webhooks.sending import Sender
from kazoo_bridge.webhooks.signing import signature_headers
from kazoo_bridge.webhooks.turns import Turn, Turns

_log = Logger()

_GONE = 410

#: Disables a hook whose receiver says that it is gone: the hook, and why.
Disable = Callable[[Hook, str], Awaitable[None]]


@frozen
class Verdict:
    """What becomes of a delivery after an attempt. `next_attempt` is None when there will be none."""

    delivered: bool
    tries: int
    next_attempt: float | None = None
    reason: str = ""


@define(eq=False)
class Attempter:
    """Sends a delivery once, keeps the attempt, and says what is next."""

    _clock: IReactorTime
    _sender: Sender
    _turns: Turns
    _recorder: AttemptRecorder
    _schedule: RetrySchedule
    _disable: Disable
    cluster_id: str = ""
    #: Attempts since the start, by result, and how long they took.
    made: Counter[str] = field(init=False, factory=lambda: Counter(success=0, failure=0))
    durations: Durations = field(init=False, factory=lambda: Durations("attempt_seconds", "How long attempts at deliveries took"))

    async def attempt(self, hook: Hook, delivery: Delivery, turn: Turn) -> Verdict:
        """Use up `turn`, which has been granted. Never raises for what a receiver does."""
        tries = delivery.tries + 1
        try:
            request = self.request(hook, delivery)
        except (TypeError, ValueError) as error:
            self._turns.done(turn, None)
            _log.error("hook {hook_id} cannot be told of {event}: {reason}", hook_id=hook.id, event=delivery.event, reason=error)
            return Verdict(False, tries, None, f"it cannot be written as the hook wants it: {error}")
        success: bool | None = None
        began = self._clock.seconds()
        try:
            outcome = await self.send(request)
            success = outcome.success
        finally:
            self._turns.done(turn, success)
        self.made["success" if outcome.success else "failure"] += 1
        self.durations.add(self._clock.seconds() - began)
        left = self._schedule.quick_retries_left(hook, tries)
        self._recorder.record(hook, request, outcome, Try(delivery.event_id, hook.retries, left))
        if outcome.success:
            return Verdict(True, tries)
        return await self._failed(hook, outcome, tries)

    def request(self, hook: Hook, delivery: Delivery) -> HookRequest:
        """What goes over the wire; raises TypeError or ValueError when the payload cannot be written."""
        request = build_request(hook, delivery.payload, self.cluster_id)
        # By the id receivers tell repetitions, whether the hook is signed or not.
        identity = {"webhook-id": delivery.id}
        signature = signature_headers(hook.secrets, delivery.id, self._clock.seconds(), request.body) if hook.secrets else {}
        return evolve(request, headers={**request.headers, **identity, **signature})

    async def send(self, request: HookRequest) -> Outcome:
        """One request, whatever becomes of it."""
        return await self._sender.send(request)

    async def _failed(self, hook: Hook, outcome: Outcome, tries: int) -> Verdict:
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
                return Verdict(False, tries, None, reason)  # an event has brought it, so there is nothing to disable
            await self._disable(hook, "the receiver answered 410 Gone")
            return Verdict(False, tries, now, reason)  # it waits until the hook is enabled again
        return Verdict(False, tries, self._schedule.next_attempt(hook, tries, outcome, now), reason)
