"""Makes one attempt at a delivery, and decides what follows from its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptInfo
from kazoo_bridge.webhooks.attempts.attempt_in_flight import (
    GONE,
    AttemptInFlight,
    AttemptResult,
    ReportedAttempt,
)
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.turn_stages import Stage, TurnStages
from kazoo_bridge.webhooks.delivery.destination_circuits import DestinationCircuits
from kazoo_bridge.webhooks.delivery.dropped_deliveries import DroppedDeliveries
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.hook_queues import Slot
from kazoo_bridge.webhooks.delivery.missed_events import TOO_OLD
from kazoo_bridge.webhooks.delivery.retry_policy import QUICK_RETRY_DELAY, RetryPolicy
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.error_messages import describe_error
from kazoo_bridge.webhooks.http.faults import Fault
from kazoo_bridge.webhooks.http.http_request import HookRequest, build_request
from kazoo_bridge.webhooks.http.payload_encoding import DEFAULT_MAX_BYTES, PayloadTooLarge
from kazoo_bridge.webhooks.http.request_plan import RequestPlans, sign_request
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from kazoo_bridge.webhooks.http.wire_request import WireRequest
from kazoo_bridge.webhooks.metrics import AttemptMetrics

_log = Logger()

#: Called with the account id, hook id and revision of a hook that is to be disabled, and the reason.
OnGone = Callable[[str, str, str, str], Awaitable[object]]


#: The result of a first attempt that succeeds: the most common one.
_DELIVERED_AT_FIRST = AttemptResult(True, 1)

_END_FAILED = "the end of an attempt could not be handled delivery_id={id}"


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
    _max_bytes: int = DEFAULT_MAX_BYTES
    _plans: RequestPlans = field(factory=RequestPlans)

    def build(self, hook: Hook, delivery: Delivery) -> HookRequest:
        """Return the request.

        Raises `PayloadTooLarge`, or TypeError or ValueError when the payload cannot be encoded.
        """
        request = build_request(hook, delivery.payload, self._cluster_id.value, self._max_bytes)
        return sign_request(hook, request, delivery.id, self._clock.seconds())

    def encode(self, hook: Hook, delivery: Delivery) -> WireRequest:
        """Return the same request as it is sent: what does not depend on the event is computed once a hook.

        Raises like `build`.
        """
        plan = self._plans.plan_for(hook)
        now = self._clock.seconds()
        return plan.request(delivery.payload, self._cluster_id.value, delivery.id, now, self._max_bytes)


@frozen
class FailureCount:
    """Decides which failures count against a hook.

    An event counts once, by its first attempt. With `every_connection` each attempt that KAZOO would make
    counts, if it gets no answer: KAZOO's ``webhooks_util`` in ``2600hz/kazoo`` counts so.
    """

    every_connection: bool = False

    def counts(self, hook: Hook, delivery: Delivery, outcome: Outcome) -> bool:
        """Return whether a failure of this attempt at `delivery` counts against `hook`."""
        if delivery.replayed_at is not None or not outcome.counts_against_hook:
            return False
        if self.every_connection and outcome.connection_failed:
            return delivery.attempts < max(1, hook.retries)
        return delivery.attempts == 0


@define(eq=False)
class AttemptRunner:
    """Sends the request of a delivery once, records the attempt and computes what follows.

    `on_gone` is called when a receiver answers 410, with a hook that is to be disabled. `dropped` drops the
    events that are too old for their hook. `destinations` learns which destinations cannot be connected to.
    `stages` do the work of many attempts together.
    """

    _clock: IReactorTime
    _requests: RequestBuilder
    _sender: Sender
    _scheduler: FairScheduler
    _recorder: AttemptRecorder
    _policy: RetryPolicy
    _failure_count: FailureCount
    _on_gone: OnGone
    dropped: DroppedDeliveries
    destinations: DestinationCircuits
    _stages: TurnStages
    metrics: AttemptMetrics = field(init=False, factory=AttemptMetrics)
    #: Attempts with an outcome, and attempts whose request is to be sent.
    answered: Stage[AttemptInFlight] = field(init=False)
    _to_send: Stage[AttemptInFlight] = field(init=False)
    #: Concludes an attempt that has an outcome, and sends the request of one that has a slot, both at the end
    #: of this turn.
    take_answered: Callable[[AttemptInFlight], None] = field(init=False)
    start: Callable[[AttemptInFlight], None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.answered = self._stages.make_stage(self._conclude_all)
        self._to_send = self._stages.make_stage(self._send_all)
        self.take_answered, self.start = self.answered.add, self._to_send.add

    async def attempt(
        self, hook: Hook, delivery: Delivery, slot: Slot, *, probe: bool = False
    ) -> AttemptResult:
        """Make one attempt like `begin`, and disable a hook whose receiver wants no more requests."""
        ended: Deferred[AttemptResult] = Deferred(lambda _: attempt.cancel())
        attempt = self.begin(hook, delivery, slot, ended.callback, probe=probe)
        result = await ended
        await self.disable_if_gone(hook, result)
        return result

    def begin(
        self,
        hook: Hook,
        delivery: Delivery,
        slot: Slot,
        done: Callable[[AttemptResult], None],
        *,
        probe: bool = False,
    ) -> ReportedAttempt:
        """Make one attempt with `slot`, which is released. The request is sent at the end of this turn.

        `done` is called once with the result, after this has returned.

        `probe`: the hook is suspended, and a failure does not count again. A delivery whose request cannot be
        built or sent, whatever the exception, is dead.
        """
        attempt = ReportedAttempt(self, hook, delivery, slot, probe, done=done)
        self.start(attempt)
        return attempt

    def _send_all(self, attempts: list[AttemptInFlight]) -> None:
        """Make the requests of `attempts`, then send them."""
        now = self._clock.seconds()
        for attempt in attempts:
            self._make_request(attempt, now)
        for attempt in attempts:
            if not attempt.ended and attempt.request is not None:
                self._send(attempt, attempt.request)

    def _make_request(self, attempt: AttemptInFlight, now: float) -> None:
        hook, delivery = attempt.hook, attempt.delivery
        if attempt.ended:
            return
        try:
            if hook.options.max_age is not None and self.dropped.drop_if_too_old(hook, delivery):
                self._end_unsent(
                    attempt, AttemptResult(False, delivery.attempts, reason=TOO_OLD, dropped=True)
                )
                return
            attempt.request = self._requests.encode(hook, delivery)
            attempt.began = now
        except Exception as error:
            self._end_unsent(attempt, _unsendable(hook, delivery, error))

    def _send(self, attempt: AttemptInFlight, request: WireRequest) -> None:
        try:
            attempt.exchange = self._sender.begin(request, attempt.on_outcome)
        except Exception as error:
            self._end_unsent(attempt, _unsendable(attempt.hook, attempt.delivery, error))

    def _end_unsent(self, attempt: AttemptInFlight, result: AttemptResult) -> None:
        attempt.ended = True
        try:
            self._scheduler.release(attempt.slot, None)
            attempt.on_result(result)
        except Exception:
            _log.failure(_END_FAILED, id=attempt.delivery.id)

    def _conclude_all(self, attempts: list[AttemptInFlight]) -> None:
        now = self._clock.seconds()
        for attempt in attempts:
            if not attempt.ended and attempt.outcome is not None:
                try:
                    self._conclude(attempt, attempt.outcome, now)
                except Exception:
                    _log.failure(_END_FAILED, id=attempt.delivery.id)

    def _conclude(self, attempt: AttemptInFlight, outcome: Outcome, now: float) -> None:
        """Release the slot, record the attempt, and report its result."""
        attempt.ended = True
        seconds = now - attempt.began
        if outcome.success and not self._recorder.records_successes:
            self._scheduler.release(attempt.slot, True, seconds)
            if self.destinations.circuits:
                self.destinations.record(attempt.hook, outcome)
            self.metrics.observe_success(attempt.delivery, attempt.began, now)
            self._recorder.count_success(attempt.hook, now, attempt.delivery.id)
            attempts = attempt.delivery.attempts + 1
            attempt.on_result(_DELIVERED_AT_FIRST if attempts == 1 else AttemptResult(True, attempts))
            return
        # Only what the receiver does says something about the receiver.
        verdict = outcome.success if outcome.success or outcome.counts_against_hook else None
        self._scheduler.release(attempt.slot, verdict, seconds)
        if outcome.unreachable or self.destinations.circuits:
            self.destinations.record(attempt.hook, outcome)
        try:
            result = self._record(attempt, outcome, now)
        except Exception as error:
            _log.failure("recording an attempt failed delivery_id={id}", id=attempt.delivery.id)
            result = AttemptResult(False, attempt.delivery.attempts + 1, None, describe_error(error))
        attempt.on_result(result)

    def stop(self) -> None:
        """Make no attempts and conclude none from now on; leave no delayed call."""
        self._stages.stop()

    def release_unsent(self, slot: Slot) -> None:
        """Release the slot of an attempt that says nothing about its receiver."""
        self._scheduler.release(slot, None)

    async def disable_if_gone(self, hook: Hook, result: AttemptResult) -> None:
        """Disable the hook if its receiver has answered 410 Gone; raises `StorageUnavailable`.

        An inline hook of an event is not stored, so there is nothing to disable.
        """
        if result.gone and hook.revision:
            await self._on_gone(hook.account_id, hook.id, hook.revision, "the receiver answered 410 Gone")

    def _record(self, attempt: AttemptInFlight, outcome: Outcome, now: float) -> AttemptResult:
        hook, delivery = attempt.hook, attempt.delivery
        if outcome.success:
            self.metrics.observe_success(delivery, attempt.began, now)
        else:
            self.metrics.observe_failure(delivery, attempt.began, now, outcome.failure_reason)
        attempts = delivery.attempts + (outcome.fault is not Fault.OURS)
        info = self._info(attempt, outcome, attempts, now - attempt.began)
        self._recorder.record(hook, _request_of(attempt).source(), outcome, info)
        if not outcome.success:
            return self._failed(hook, delivery, outcome, attempts)
        return AttemptResult(True, attempts)

    def _info(self, attempt: AttemptInFlight, outcome: Outcome, attempts: int, seconds: float) -> AttemptInfo:
        hook, delivery = attempt.hook, attempt.delivery
        return AttemptInfo(
            delivery.event_id,
            hook.retries,
            self._policy.quick_retries_left(hook, attempts),
            counts=not attempt.probe and self._failure_count.counts(hook, delivery, outcome),
            delivery=delivery,
            event_account_id=delivery.event_account_id,
            number=delivery.attempts + 1,
            max_attempts=self._policy.max_attempts(hook),
            seconds=seconds,
        )

    def _failed(self, hook: Hook, delivery: Delivery, outcome: Outcome, attempts: int) -> AttemptResult:
        reason = outcome.error or f"answered {outcome.status}"
        _log.info(
            "delivery failed hook_id={hook_id} account_id={account_id} delivery_id={delivery_id} "
            "event_id={event_id} attempt={attempts} fault={fault} reason={reason}",
            hook_id=hook.id,
            account_id=hook.account_id,
            delivery_id=delivery.id,
            event_id=delivery.event_id,
            attempts=attempts,
            fault=outcome.fault.value,
            reason=reason,
        )
        return AttemptResult(
            False,
            attempts,
            self._next_attempt(hook, delivery, outcome, attempts),
            reason,
            status=outcome.status,
            counts_against_hook=outcome.counts_against_hook,
        )

    def _next_attempt(self, hook: Hook, delivery: Delivery, outcome: Outcome, attempts: int) -> float | None:
        """Return when the next attempt is due (Unix seconds); None: there is none."""
        now = self._clock.seconds()
        if outcome.fault is Fault.DEFECT:
            return None
        if outcome.fault is Fault.OURS:
            return now + self._policy.delay_after_own_fault(now - delivery.created)
        if outcome.status != GONE:
            return self._policy.next_attempt(hook, attempts, outcome, now)
        # Due soon, and paused until the hook is enabled again. Not at once: the hook may have been changed on
        # another node, and so not be disabled by this.
        return now + QUICK_RETRY_DELAY if hook.revision else None


def _request_of(attempt: AttemptInFlight) -> WireRequest:
    if attempt.request is None:
        raise RuntimeError(f"the request of delivery {attempt.delivery.id} was not made")
    return attempt.request


def _unsendable(hook: Hook, delivery: Delivery, error: Exception) -> AttemptResult:
    """Return the result of an attempt whose request cannot be built; called while `error` is handled."""
    is_too_large = isinstance(error, PayloadTooLarge)
    log = _log.warn if is_too_large else _log.failure
    log(
        "delivery failed, its request cannot be built "
        "hook_id={hook_id} delivery_id={delivery_id} event_id={event_id} reason={reason}",
        hook_id=hook.id,
        delivery_id=delivery.id,
        event_id=delivery.event_id,
        reason=error,
    )
    reason = str(error) if is_too_large else f"the payload cannot be encoded: {describe_error(error)}"
    return AttemptResult(False, delivery.attempts + 1, None, reason)
