"""Sends stored deliveries when they are due, together with all other nodes on the same storage."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import Delivery, IDeliveryStore, StorageUnavailable
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptResult
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.paused_deliveries import PausedDeliveries
from kazoo_bridge.webhooks.delivery.poll_timer import PollTimer
from kazoo_bridge.webhooks.delivery.receiver_prober import ReceiverProber
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http.error_messages import describe_error

_log = Logger()

#: Deliveries of one hook that are claimed at once.
MAX_CLAIM = 64

#: Deliveries that are claimed for each slot; what gets no slot in time is released.
CLAIMS_PER_SLOT = 2

#: Seconds for which a claim outlasts a request.
LEASE_MARGIN = 10.0

#: Seconds for which a claimed delivery waits for a slot, so that its request ends before the claim.
_SLOT_TIMEOUT = LEASE_MARGIN / 2


class _InvalidInlineHook(Exception):
    """A stored delivery brings a hook that this version cannot use."""


@define(eq=False)
class RetryWorker(Service):
    """Claims due deliveries, makes an attempt at each, and records the results.

    `request_timeout` is in seconds. Its claims carry a random id of the process.
    """

    _clock: IReactorTime
    _store: IDeliveryStore
    _registry: HookRegistry
    _scheduler: FairScheduler
    _attempt_runner: AttemptRunner
    _writer: DeliveryWriter
    _paused: PausedDeliveries
    _poll_timer: PollTimer
    _prober: ReceiverProber
    _request_timeout: float
    _owner: str = field(init=False, factory=lambda: secrets.token_hex(16))
    _sending: set[Deferred[None]] = field(init=False, factory=set)
    _probes: int = field(init=False, default=0)
    #: Hooks whose deliveries are claimed to find out whether their destination has recovered.
    _destination_probes: frozenset[str] = field(init=False, default=frozenset())
    _unavailable: bool = field(init=False, default=False)
    #: The hook that was served last, among those whose circuit is closed (False) and open (True).
    _last_served: dict[bool, str] = field(init=False, factory=dict)

    def startService(self) -> None:
        """Poll the storage, now and from now on."""
        super().startService()
        self._poll_timer.start(self._poll)

    def stopService(self) -> Deferred[None]:
        """Claim nothing more, and release what waits for a slot; fires when all requests have ended."""
        super().stopService()
        self._scheduler.stop_waiting()
        return Deferred.fromCoroutine(self._finish())

    @property
    def in_flight(self) -> int:
        """How many claimed deliveries have no result yet."""
        return len(self._sending)

    async def _finish(self) -> None:
        await self._poll_timer.stop()
        for sending in list(self._sending):
            await sending
        await self._prober.finish()

    async def _poll(self) -> None:
        try:
            await self._paused.resume_enabled()
            await self._claim_and_send()
            if self.running:
                await self._prober.start_due()
        except StorageUnavailable as error:
            if not self._unavailable:
                _log.warn("due deliveries cannot be read for now: {reason}", reason=error)
            self._unavailable = True
        else:
            self._unavailable = False

    async def _claim_and_send(self) -> None:
        now = self._clock.seconds()
        counts = self._allocate(await self._store.due_hooks(now))
        if not counts or not self.running:
            return
        until = now + self._longest_timeout(counts) + LEASE_MARGIN
        for delivery in await self._store.claim(self._owner, now, until, counts):
            self._start(delivery)

    def _longest_timeout(self, hook_ids: Iterable[str]) -> float:
        """Return the longest time-out of a request to any of these hooks, in seconds."""
        hooks = (self._registry.get(hook_id) for hook_id in hook_ids)
        own = (hook.options.timeout for hook in hooks if hook is not None)
        return max(self._request_timeout, *(timeout for timeout in own if timeout is not None), 0.0)

    def _allocate(self, due: list[str]) -> dict[str, int]:
        """Return how many deliveries to claim of each hook.

        All together stay within a bound, of which hooks with an open circuit use at most half. Of hooks whose
        destination cannot be connected to, a few are claimed now and then.
        """
        limit = CLAIMS_PER_SLOT * self._scheduler.total
        unreachable = self._unreachable(due)
        due = [hook_id for hook_id in due if hook_id not in unreachable]
        healthy = [hook_id for hook_id in due if not self._scheduler.circuit_open(hook_id)]
        failing = [hook_id for hook_id in due if self._scheduler.circuit_open(hook_id)]
        probes = self._attempt_runner.destinations.allot(unreachable.values(), self._scheduler.free_slots)
        self._destination_probes = frozenset(probes)
        counts = self._allocate_group(False, healthy, limit - len(self._sending))
        return counts | self._allocate_group(True, failing, limit // 2 - self._probes) | probes

    def _unreachable(self, due: list[str]) -> dict[str, Hook]:
        """Return the hooks whose destination cannot be connected to, by id."""
        destinations = self._attempt_runner.destinations
        if not destinations.circuits:
            return {}
        hooks = (self._registry.get(hook_id) for hook_id in due)
        return {hook.id: hook for hook in hooks if hook is not None and destinations.is_open(hook)}

    def _allocate_group(self, failing: bool, hook_ids: list[str], budget: int) -> dict[str, int]:
        # Round robin: the hooks behind the one that was served last come first.
        last = self._last_served.get(failing, "")
        rotated = sorted(hook_ids, key=lambda hook_id: (hook_id <= last, hook_id))
        share, counts = max(1, budget // max(1, len(rotated))), {}
        for hook_id in rotated:
            count = min(self._scheduler.free_slots(hook_id), MAX_CLAIM, share, budget)
            if count > 0:
                counts[hook_id] = count
                budget -= count
                self._last_served[failing] = hook_id
        return counts

    def _start(self, delivery: Delivery) -> None:
        probe = self._scheduler.circuit_open(delivery.hook_id)
        self._probes += probe
        is_allotted = delivery.hook_id in self._destination_probes
        sending = Deferred.fromCoroutine(self._send(delivery, is_allotted=is_allotted))
        sending.addErrback(self._on_send_failed, delivery)
        self._sending.add(sending)
        sending.addCallback(lambda _: self._on_sent(sending, probe))

    def _on_sent(self, sending: Deferred[None], probe: bool) -> None:
        self._sending.discard(sending)
        self._probes -= probe

    def _on_send_failed(self, failure: Failure, delivery: Delivery) -> None:
        if failure.check(StorageUnavailable):
            self._writer.release(delivery)
            return
        _log.failure("retrying a delivery failed delivery_id={delivery_id}", failure, delivery_id=delivery.id)
        if not failure.check(CancelledError):
            # Repeating it would fail again.
            reason = describe_error(failure.value or Exception())
            self._writer.record_result(delivery, AttemptResult(False, delivery.attempts + 1, None, reason))

    async def _send(self, delivery: Delivery, *, is_allotted: bool) -> None:
        try:
            hook = self._hook_for(delivery)
        except _InvalidInlineHook as error:
            self._writer.record_result(delivery, AttemptResult(False, delivery.attempts, None, str(error)))
            return
        if hook is None:
            await self._paused.pause_or_delete(delivery.hook_id)
            self._writer.release(delivery)
            return
        if await self._attempt_runner.dropped.drop_if_unwanted(hook, delivery):
            # Before it waits for a slot: hundreds of old events must not make new ones wait, and grow old.
            self._writer.record_result(delivery, AttemptResult(False, delivery.attempts, dropped=True))
            return
        slot = await self._scheduler.acquire(hook, _SLOT_TIMEOUT)
        if slot is None:
            self._writer.release(delivery)
            return
        current = self._hook_for(delivery)
        if current is None or (not is_allotted and self._attempt_runner.destinations.is_open(current)):
            # Disabled or deleted while this waited, the next claim finds out which; or its destination has
            # failed others meanwhile.
            self._scheduler.release(slot, None)
            self._writer.release(delivery)
            return
        self._writer.record_result(delivery, await self._attempt_runner.attempt(current, delivery, slot))

    def _hook_for(self, delivery: Delivery) -> Hook | None:
        """Return the hook as it is now; None when it is disabled or deleted."""
        if delivery.inline_hook is None:
            return self._registry.get(delivery.hook_id)
        try:
            return Hook.from_event(delivery.account_id, delivery.event, delivery.inline_hook)
        except InvalidDocument as error:
            raise _InvalidInlineHook(f"the inline hook of the event is invalid: {error}") from None
