"""Makes one attempt at a delivery, and decides what follows from its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptInfo
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
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
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from kazoo_bridge.webhooks.http.signing import signature_headers
from kazoo_bridge.webhooks.metrics import AttemptMetrics

_log = Logger()

_GONE = 410

#: Called with the account id, hook id and revision of a hook that is to be disabled, and the reason.
OnGone = Callable[[str, str, str, str], Awaitable[object]]


@frozen
class AttemptResult:
    """What follows from an attempt. `next_attempt` is in Unix seconds; None: no further attempt.

    `attempts` counts the attempts at the delivery so far, except failures by a fault of this node;
    `reason` says why this one failed. `status` is that of the response, None without one.
    `counts_against_hook`: the attempt failed, by the fault of the receiver or of the hook. `dropped`: the
    event is not wanted any more.
    """

    delivered: bool
    attempts: int
    next_attempt: float | None = None
    reason: str = ""
    status: int | None = field(default=None, kw_only=True)
    counts_against_hook: bool = field(default=False, kw_only=True)
    dropped: bool = field(default=False, kw_only=True)

    @property
    def gone(self) -> bool:
        """Whether the receiver answered 410: it wants no more requests of the hook."""
        return self.status == _GONE

    @property
    def done(self) -> bool:
        """True if nothing is to be kept of the delivery: it was delivered or dropped."""
        return self.delivered or self.dropped


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

    def build(self, hook: Hook, delivery: Delivery) -> HookRequest:
        """Return the request.

        Raises `PayloadTooLarge`, or TypeError or ValueError when the payload cannot be encoded.
        """
        request = build_request(hook, delivery.payload, self._cluster_id.value, self._max_bytes)
        # Receivers recognise repetitions by the id, so an unsigned request has it too.
        headers = {**request.headers, "webhook-id": delivery.id}
        if hook.signing_keys:
            headers |= signature_headers(hook.signing_keys, delivery.id, self._clock.seconds(), request.body)
        return evolve(request, headers=headers)


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
    """Sends the request of a delivery once, records the attempt and returns what follows.

    `on_gone` is called when a receiver answers 410, with a hook that is to be disabled. `dropped` drops the
    events that are too old for their hook. `destinations` learns which destinations cannot be connected to.
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
    metrics: AttemptMetrics = field(init=False, factory=AttemptMetrics)

    async def attempt(
        self, hook: Hook, delivery: Delivery, slot: Slot, *, probe: bool = False
    ) -> AttemptResult:
        """Make one attempt with `slot`, which is released. Raises nothing for what a receiver does.

        `probe`: the hook is suspended, and a failure does not count again. A delivery whose request cannot be
        built or sent, whatever the exception, is dead.
        """
        if self.dropped.drop_if_too_old(hook, delivery):
            self._scheduler.release(slot, None)
            return AttemptResult(False, delivery.attempts, reason=TOO_OLD, dropped=True)
        try:
            request = self._requests.build(hook, delivery)
        except Exception as error:
            self._scheduler.release(slot, None)
            return _unsendable(hook, delivery, error)
        success: bool | None = None
        began = self._clock.seconds()
        try:
            outcome = await self._sender.send(request)
            # Only what the receiver does says something about the receiver.
            success = outcome.success if outcome.success or outcome.counts_against_hook else None
        finally:
            self._scheduler.release(slot, success)
        if outcome.unreachable or not self.destinations.idle:
            self.destinations.record(hook, outcome)
        self.metrics.observe(success=outcome.success, seconds=self._clock.seconds() - began)
        attempts = delivery.attempts + (outcome.fault is not Fault.OURS)
        retries_left = self._policy.quick_retries_left(hook, attempts)
        counts = not probe and self._failure_count.counts(hook, delivery, outcome)
        info = AttemptInfo(
            delivery.event_id,
            hook.retries,
            retries_left,
            counts=counts,
            delivery=delivery,
            event_account_id=delivery.event_account_id,
        )
        self._recorder.record(hook, request, outcome, info)
        if outcome.success:
            return AttemptResult(True, attempts)
        return await self._failed(hook, delivery, outcome, attempts)

    async def _failed(self, hook: Hook, delivery: Delivery, outcome: Outcome, attempts: int) -> AttemptResult:
        reason = outcome.error or f"answered {outcome.status}"
        _log.info(
            "delivery failed hook_id={hook_id} account_id={account_id} delivery_id={delivery_id} "
            "attempt={attempts} fault={fault} reason={reason}",
            hook_id=hook.id,
            account_id=hook.account_id,
            delivery_id=delivery.id,
            attempts=attempts,
            fault=outcome.fault.value,
            reason=reason,
        )
        now = self._clock.seconds()
        result = AttemptResult(
            False,
            attempts,
            None,
            reason,
            status=outcome.status,
            counts_against_hook=outcome.counts_against_hook,
        )
        if outcome.fault is Fault.DEFECT:
            return result
        if outcome.fault is Fault.OURS:
            delay = self._policy.delay_after_own_fault(now - delivery.created)
            return evolve(result, next_attempt=now + delay)
        if not result.gone:
            return evolve(result, next_attempt=self._policy.next_attempt(hook, attempts, outcome, now))
        if not hook.revision:
            # An inline hook of the event: there is nothing to disable.
            return result
        await self._on_gone(hook.account_id, hook.id, hook.revision, "the receiver answered 410 Gone")
        # Due soon, and paused until the hook is enabled again. Not at once: the hook may have been changed on
        # another node, and so not be disabled by this.
        return evolve(result, next_attempt=now + QUICK_RETRY_DELAY)


def _unsendable(hook: Hook, delivery: Delivery, error: Exception) -> AttemptResult:
    """Return the result of an attempt whose request cannot be built; called while `error` is handled."""
    is_too_large = isinstance(error, PayloadTooLarge)
    log = _log.warn if is_too_large else _log.failure
    log(
        "delivery failed, its request cannot be built "
        "hook_id={hook_id} event={event} delivery_id={delivery_id} reason={reason}",
        hook_id=hook.id,
        event=delivery.event,
        delivery_id=delivery.id,
        reason=error,
    )
    reason = str(error) if is_too_large else f"the payload cannot be encoded: {describe_error(error)}"
    return AttemptResult(False, delivery.attempts + 1, None, reason)
