"""Makes one attempt at a delivery, and decides what follows from its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptInfo
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.hook_queues import Slot
from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import HookRequest, build_request
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from kazoo_bridge.webhooks.http.signing import signature_headers
from kazoo_bridge.webhooks.metrics import AttemptMetrics

_log = Logger()

_GONE = 410

#: Called with the account id, hook id and revision of a hook that is to be disabled, and the reason.
OnGone = Callable[[str, str, str, str], Awaitable[None]]


@frozen
class AttemptResult:
    """What follows from an attempt. `next_attempt` is in Unix seconds; None: no further attempt.

    `attempts` counts all attempts at the delivery so far; `reason` says why this one failed.
    """

    delivered: bool
    attempts: int
    next_attempt: float | None = None
    reason: str = ""


@define(eq=False)
class ClusterId:
    """The id that receivers see of all nodes on one storage; `configured` overrides the stored one."""

    _configured: str
    _read_or_create: Callable[[], Awaitable[str]]
    _stored: str = field(init=False, default="")

    async def load(self) -> None:
        """Read the stored id; raises `StorageUnavailable`."""
        self._stored = await self._read_or_create()

    @property
    def value(self) -> str:
        """The id; empty before `load`."""
        return self._configured or self._stored


@frozen
class RequestBuilder:
    """Builds the signed HTTP request of a delivery."""

    _clock: IReactorTime
    _cluster_id: ClusterId

    def build(self, hook: Hook, delivery: Delivery) -> HookRequest:
        """Return the request; raises TypeError or ValueError when the payload cannot be encoded."""
        request = build_request(hook, delivery.payload, self._cluster_id.value)
        # Receivers recognise repetitions by the id, so an unsigned request has it too.
        headers = {**request.headers, "webhook-id": delivery.id}
        if hook.secrets:
            headers |= signature_headers(hook.secrets, delivery.id, self._clock.seconds(), request.body)
        return evolve(request, headers=headers)


@define(eq=False)
class AttemptRunner:
    """Sends the request of a delivery once, records the attempt and returns what follows.

    `on_gone` is called when a receiver answers 410, with a hook that is to be disabled.
    """

    _clock: IReactorTime
    _requests: RequestBuilder
    _sender: Sender
    _scheduler: FairScheduler
    _recorder: AttemptRecorder
    _policy: RetryPolicy
    _on_gone: OnGone
    metrics: AttemptMetrics = field(init=False, factory=AttemptMetrics)

    async def attempt(self, hook: Hook, delivery: Delivery, slot: Slot) -> AttemptResult:
        """Make one attempt with `slot`, which is released. Raises nothing for what a receiver does."""
        attempts = delivery.attempts + 1
        try:
            request = self._requests.build(hook, delivery)
        except (TypeError, ValueError) as error:
            self._scheduler.release(slot, None)
            _log.error(
                "delivery failed, its payload cannot be encoded "
                "hook_id={hook_id} event={event} delivery_id={delivery_id} reason={reason}",
                hook_id=hook.id,
                event=delivery.event,
                delivery_id=delivery.id,
                reason=error,
            )
            return AttemptResult(False, attempts, None, f"the payload cannot be encoded: {error}")
        success: bool | None = None
        began = self._clock.seconds()
        try:
            outcome = await self._sender.send(request)
            success = outcome.success
        finally:
            self._scheduler.release(slot, success)
        self.metrics.observe(success=outcome.success, seconds=self._clock.seconds() - began)
        retries_left = self._policy.quick_retries_left(hook, attempts)
        info = AttemptInfo(
            delivery.event_id, hook.retries, retries_left, event_account_id=delivery.event_account_id
        )
        self._recorder.record(hook, request, outcome, info)
        if outcome.success:
            return AttemptResult(True, attempts)
        return await self._failed(hook, delivery, outcome, attempts)

    async def _failed(self, hook: Hook, delivery: Delivery, outcome: Outcome, attempts: int) -> AttemptResult:
        reason = outcome.error or f"answered {outcome.status}"
        _log.info(
            "delivery failed hook_id={hook_id} account_id={account_id} delivery_id={delivery_id} "
            "attempt={attempts} reason={reason}",
            hook_id=hook.id,
            account_id=hook.account_id,
            delivery_id=delivery.id,
            attempts=attempts,
            reason=reason,
        )
        now = self._clock.seconds()
        if outcome.status != _GONE:
            next_attempt = self._policy.next_attempt(hook, attempts, outcome, now)
            return AttemptResult(False, attempts, next_attempt, reason)
        if not hook.revision:
            # An inline hook of the event: there is nothing to disable.
            return AttemptResult(False, attempts, None, reason)
        await self._on_gone(hook.account_id, hook.id, hook.revision, "the receiver answered 410 Gone")
        # Due now, and paused until the hook is enabled again.
        return AttemptResult(False, attempts, now, reason)
