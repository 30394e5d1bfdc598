"""Sends what waits in the storage when its time has come, together with all other nodes on it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kazoo_bridge.interfaces import Delivery, IDeliveryStore, StorageUnavailable
from kazoo_bridge.webhooks.attempts.attempt import AttemptResult, AttemptRunner
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler, Slot
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from kazoo_bridge.webhooks.hooks.registry import HookRegistry

_log = Logger()

#: Seconds between looks at the storage, for what other nodes have left there.
_POLL_INTERVAL = 1.0

#: Deliveries of one hook that are claimed at once.
_MAX_CLAIM = 64

#: Deliveries that are claimed for each place among the requests under way; what does not get a place in time is given back.
_CLAIMS_PER_SLOT = 2

#: Seconds between looks for held deliveries of hooks that are enabled.
_RESUME_INTERVAL = 30.0

#: A claim lasts this many seconds longer than a request may take.
_LEASE_MARGIN = 10.0

#: Whether a hook, which is not among the enabled ones, exists at all.
HookExists = Callable[[str], Awaitable[bool]]


class _Unreadable(Exception):
    """What was kept is of no use to this version."""


@define(eq=False)
class RetryWorker(Service):
    """Claims what is due, sends it, settles it. `request_timeout` is in seconds."""

    _clock: IReactorTime
    _store: IDeliveryStore
    _registry: HookRegistry
    _scheduler: FairScheduler
    _attempt_runner: AttemptRunner
    _writer: DeliveryWriter
    _exists: HookExists
    _request_timeout: float
    _owner: str = field(init=False, factory=lambda: secrets.token_hex(16))
    _timer: IDelayedCall | None = field(init=False, default=None)
    _polling: Deferred[None] = field(init=False, factory=lambda: succeed(None))
    _is_polling: bool = field(init=False, default=False)
    _poll_again: bool = field(init=False, default=False)
    _running: set[Deferred[None]] = field(init=False, factory=set)
    _slot_waits: set[Deferred[None]] = field(init=False, factory=set)
    _down: bool = field(init=False, default=False)
    _probes: int = field(init=False, default=0)
    _last_served: dict[bool, str] = field(init=False, factory=dict)
    _resumed_at: float | None = field(init=False, default=None)

    def startService(self) -> None:
        """Look now, and from now on."""
        super().startService()
        self._writer.on_due = self.wake
        self._poll_now()

    def stopService(self) -> Deferred[None]:
        """Claim nothing more, and give back what waits for its turn; fires when what is being sent has ended."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for patience in list(self._slot_waits):
            patience.cancel()
        return Deferred.fromCoroutine(self._ended())

    @property
    def in_flight(self) -> int:
        """How many claimed deliveries are not settled."""
        return len(self._running)

    async def _ended(self) -> None:
        await self._polling
        for running in list(self._running):
            await running

    def wake(self, when: float) -> None:
        """Something will be due then (Unix seconds)."""
        if not self.running:
            return
        if self._is_polling:
            self._poll_again = self._poll_again or when <= self._clock.seconds()
            return
        self._poll_after(max(0.0, when - self._clock.seconds()))

    def _poll_after(self, seconds: float) -> None:
        if self._timer is not None:
            if self._timer.getTime() <= self._clock.seconds() + seconds:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(min(seconds, _POLL_INTERVAL), self._poll_now)

    def _poll_now(self) -> None:
        self._timer = None
        self._is_polling, self._poll_again = True, False
        self._polling = Deferred.fromCoroutine(self._poll()).addErrback(
            lambda failure: _log.failure("looking for deliveries failed", failure)
        )
        self._polling.addCallback(self._polled)

    def _polled(self, _: None) -> None:
        self._is_polling = False
        if self.running:
            self._poll_after(0.0 if self._poll_again else _POLL_INTERVAL)

    async def _poll(self) -> None:
        try:
            await self._claim_and_send()
        except StorageUnavailable as error:
            if not self._down:
                self._down = True
                _log.warn("waiting deliveries cannot be looked for just now: {reason}", reason=error)
        else:
            self._down = False

    async def _claim_and_send(self) -> None:
        now = self._clock.seconds()
        if self._resumed_at is None or now - self._resumed_at >= _RESUME_INTERVAL:
            await self._resume_enabled(now)
        room = self._allocate(await self._store.due_hooks(now))
        if not room or not self.running:
            return
        until = now + self._request_timeout + _LEASE_MARGIN
        for delivery in await self._store.claim(self._owner, now, until, room):
            self._start(delivery)

    def _allocate(self, due: list[str]) -> dict[str, int]:
        """How much to claim of each hook, so that all together stay within a bound, which hooks that keep failing do not use up."""
        most = _CLAIMS_PER_SLOT * self._scheduler.total
        well = [hook_id for hook_id in due if not self._scheduler.circuit_open(hook_id)]
        failing = [hook_id for hook_id in due if self._scheduler.circuit_open(hook_id)]
        return self._allocate_group(False, well, most - len(self._running)) | self._allocate_group(
            True, failing, most // 2 - self._probes
        )

    def _allocate_group(self, narrow: bool, hook_ids: list[str], budget: int) -> dict[str, int]:
        # Those go first whom the round before has left out.
        last = self._last_served.get(narrow, "")
        order = sorted(hook_ids, key=lambda hook_id: (hook_id <= last, hook_id))
        each, shares = max(1, budget // max(1, len(order))), {}
        for hook_id in order:
            places = min(self._scheduler.free_slots(hook_id), _MAX_CLAIM, each, budget)
            if places > 0:
                shares[hook_id] = places
                budget -= places
                self._last_served[narrow] = hook_id
        return shares

    async def hook_enabled(self, hook_id: str) -> None:
        """The hook has just been enabled, here or elsewhere: let what was held go out."""
        now = self._clock.seconds()
        await self._store.resume(hook_id, now)
        self.wake(now)

    async def _resume_enabled(self, now: float) -> None:
        """Normally nothing is left to do here: it mends what a crash or a refused write has left behind."""
        for hook_id in await self._store.paused_hooks():
            if self._registry.get(hook_id) is not None:
                await self._store.resume(hook_id, now)
        self._resumed_at = now

    def _start(self, delivery: Delivery) -> None:
        probe = self._scheduler.circuit_open(delivery.hook_id)
        self._probes += probe
        running = Deferred.fromCoroutine(self._send(delivery))
        running.addErrback(
            lambda failure: _log.failure("delivery {delivery_id} failed", failure, delivery_id=delivery.id)
        )
        self._running.add(running)
        running.addCallback(lambda _: self._on_sent(running, probe))

    def _on_sent(self, running: Deferred[None], probe: bool) -> None:
        self._running.discard(running)
        self._probes -= probe

    async def _send(self, delivery: Delivery) -> None:
        try:
            hook = await self._hook_for(delivery)
        except _Unreadable as error:
            self._writer.record_result(delivery, AttemptResult(False, delivery.attempts, None, str(error)))
            return
        turn = None if hook is None else await self._acquire_slot(hook)
        if hook is None or turn is None:
            self._writer.release(delivery)
            return
        self._writer.record_result(delivery, await self._attempt_runner.attempt(hook, delivery, turn))

    async def _hook_for(self, delivery: Delivery) -> Hook | None:
        """The hook as it is now; None when it is disabled or gone, which is then told to the storage."""
        if delivery.inline_hook is not None:
            try:
                return Hook.from_event(delivery.account_id, delivery.event, delivery.inline_hook)
            except InvalidDocument as error:
                raise _Unreadable(f"the hook that its event brought along cannot be used: {error}") from None
        hook = self._registry.get(delivery.hook_id)
        if hook is None:
            await self._pause_or_delete(delivery.hook_id)
        return hook

    async def _pause_or_delete(self, hook_id: str) -> None:
        if await self._exists(hook_id):
            await self._store.pause(hook_id)
        else:
            await self._store.delete(hook_id)

    async def _acquire_slot(self, hook: Hook) -> Slot | None:
        """A granted turn; None when the lease would run out before it comes, or the service stops."""
        turn = self._scheduler.acquire(hook)
        if not turn.granted.called:
            await self._wait_for_slot(turn)
        if turn.granted.called:
            return turn
        self._scheduler.cancel(turn)
        return None

    async def _wait_for_slot(self, turn: Slot) -> None:
        patience: Deferred[None] = deferLater(self._clock, _LEASE_MARGIN / 2)
        self._slot_waits.add(patience)
        turn.granted.addCallback(lambda _: None if patience.called else patience.cancel())
        try:
            await patience
        except CancelledError:
            pass
        finally:
            self._slot_waits.discard(patience)
