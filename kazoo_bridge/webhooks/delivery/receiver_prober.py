"""Probes the receivers of suspended hooks with waiting deliveries, and enables the hooks that succeed."""

from __future__ import annotations

import secrets
from collections import Counter

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import (
    Delivery,
    IDeliveryStore,
    IHookStore,
    StorageUnavailable,
    StoredHook,
    Suspension,
)
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptResult
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.probe_schedule import ProbeSchedule
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_service import HookService
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.kazoo_messages import webhook_recovered
from kazoo_bridge.webhooks.notification_sender import NotificationSender

_log = Logger()

#: The results of probes; ``given_up`` is counted beside ``failure``.
PROBE_RESULTS = ("success", "failure", "given_up")

#: Seconds for which a probe waits for a slot.
_SLOT_TIMEOUT = 5.0

#: Seconds for which the claim of a delivery outlasts its request.
_LEASE_MARGIN = 10.0

#: Probes with the oldest delivery. Later ones take others in turn: one event that the receiver cannot handle
#: must not keep the hook suspended.
_PROBES_WITH_OLDEST = 3

#: How many deliveries later probes take in turn.
_PROBE_CANDIDATES = 8

#: Seconds after a probe for which there was nothing to send, or no slot, until the next one.
_DELAY_WITHOUT_ATTEMPT = 5.0


@frozen
class _Probe:
    """A claimed probe: of which hook, its state before, and when the next one is due (Unix seconds)."""

    hook: Hook
    stored: StoredHook
    suspension: Suspension
    next_probe: float


@define(eq=False)
class ReceiverProber:
    """Sends one waiting delivery of each suspended hook when its probe is due; one node makes each probe.

    A success enables the hook, and publishes ``webhook_recovered`` on the bus. `request_timeout` is in
    seconds.
    """

    _clock: IReactorTime
    _hook_store: IHookStore
    _deliveries: IDeliveryStore
    _hooks: HookService
    _registry: HookRegistry
    _scheduler: FairScheduler
    _attempt_runner: AttemptRunner
    _writer: DeliveryWriter
    _schedule: ProbeSchedule
    _notifications: NotificationSender
    _request_timeout: float
    _owner: str = field(init=False, factory=lambda: secrets.token_hex(16))
    _probing: set[Deferred[None]] = field(init=False, factory=set)
    #: Probes since the start, by result.
    results: Counter[str] = field(init=False, factory=Counter)

    async def start_due(self) -> None:
        """Start the probes that are due; raises `StorageUnavailable`."""
        if not self._registry.suspended:
            return
        now = self._clock.seconds()
        for stored in await self._hook_store.due_probes(now):
            if stored.suspension is None:
                continue
            next_probe = self._schedule.advance(stored.suspension, now).next_probe
            # Before it is parsed: hooks that cannot be used must not be found first again and again.
            if await self._hook_store.claim_probe(stored, next_probe):
                hook = self._hooks.parse(stored)
                if hook is not None and hook.suspended:
                    self._start(_Probe(hook, stored, stored.suspension, next_probe))

    async def finish(self) -> None:
        """Return when the probes that have begun have ended."""
        for probing in list(self._probing):
            await probing

    def _start(self, probe: _Probe) -> None:
        probing = Deferred.fromCoroutine(self._probe(probe))
        probing.addErrback(
            lambda failure: _log.failure(
                "probing a receiver failed hook_id={hook_id}", failure, hook_id=probe.hook.id
            )
        )
        self._probing.add(probing)
        probing.addCallback(lambda _: self._probing.discard(probing))

    async def _probe(self, probe: _Probe) -> None:
        hook = probe.hook
        try:
            if self._attempt_runner.destinations.just_failed(hook):
                # A probe would find out the same.
                await self._on_failure(hook, probe.suspension)
                return
            result = await self._attempt(hook, probe.suspension)
            if result is None:
                # The next event is to be tried soon: it may be the first one that is not too old.
                soon = self._clock.seconds() + _DELAY_WITHOUT_ATTEMPT
                await self._hook_store.return_probe(probe.stored, min(soon, probe.next_probe))
            elif result.delivered:
                await self._on_success(hook)
            elif result.counts_against_hook:
                await self._on_failure(hook, probe.suspension)
            else:
                # A fault of this node says nothing about the receiver.
                await self._hook_store.return_probe(probe.stored, probe.next_probe)
        except StorageUnavailable as error:
            _log.warn("probe not completed hook_id={hook_id} reason={reason}", hook_id=hook.id, reason=error)

    async def _attempt(self, hook: Hook, suspension: Suspension) -> AttemptResult | None:
        """Make one attempt with a waiting delivery; None if there was none, or no slot."""
        await self._drop_old(hook)
        while (delivery := await self._claim(hook, suspension)) is not None:
            if await self._attempt_runner.dropped.drop_if_unwanted(hook, delivery):
                unwanted = AttemptResult(False, delivery.attempts, dropped=True)
                self._writer.record_result(delivery, unwanted)
                continue
            slot = await self._scheduler.acquire(hook, _SLOT_TIMEOUT)
            if slot is None:
                self._writer.release(delivery)
                return None
            known = self._registry.find(hook.id)
            if known is None or not known.suspended:
                # While this waited it was deleted, enabled, or disabled by a person.
                self._scheduler.release(slot, None)
                self._writer.release(delivery)
                return None
            result = await self._attempt_runner.attempt(hook, delivery, slot, probe=True)
            if result.done or (result.next_attempt is None and not result.counts_against_hook):
                # Delivered or dropped; or dead, because no receiver could be sent this one.
                self._writer.record_result(delivery, result)
                if result.delivered:
                    return result
            else:
                # It stays held and keeps its retries, because the receiver is away.
                self._writer.release(delivery)
                return result
        return None

    async def _drop_old(self, hook: Hook) -> None:
        """Drop together what is certainly too old: there can be as many as may wait."""
        max_age = hook.options.max_age
        if max_age is None:
            return
        now = self._clock.seconds()
        while count := await self._deliveries.drop_held(hook.id, now - max_age, now):
            self._attempt_runner.dropped.count_too_old(hook, count)

    async def _claim(self, hook: Hook, suspension: Suspension) -> Delivery | None:
        now = self._clock.seconds()
        late = max(0, suspension.probes - _PROBES_WITH_OLDEST)
        until = now + max(self._request_timeout, hook.options.timeout or 0.0) + _LEASE_MARGIN
        return await self._deliveries.claim_held(hook.id, self._owner, now, until, late % _PROBE_CANDIDATES)

    async def _on_success(self, hook: Hook) -> None:
        self.results["success"] += 1
        if not await self._hooks.recover(hook.account_id, hook.id):
            return
        _log.info(
            "hook enabled, its receiver has recovered hook_id={hook_id} account_id={account_id}",
            hook_id=hook.id,
            account_id=hook.account_id,
        )
        self._notifications.send(webhook_recovered(hook.account_id, hook.id))

    async def _on_failure(self, hook: Hook, suspension: Suspension) -> None:
        self.results["failure"] += 1
        now = self._clock.seconds()
        if not self._schedule.is_over(suspension, now):
            return
        if await self._hooks.give_up(hook.account_id, hook.id):
            self.results["given_up"] += 1
            reason = f"its hook was given up after {now - suspension.since:.0f} s of failing"
            count = await self._deliveries.give_up(hook.id, now, reason)
            _log.warn(
                "hook given up, it stays disabled hook_id={hook_id} account_id={account_id} dead={count}",
                hook_id=hook.id,
                account_id=hook.account_id,
                count=count,
            )
