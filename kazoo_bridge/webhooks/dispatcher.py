"""Sends deliveries: bounded in number, bounded in time, tried again as the hook allows."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import Occurrence, Unfinished
from kazoo_bridge.webhooks.attempts import AttemptRecorder, Try
from kazoo_bridge.webhooks.hook import Hook
from kazoo_bridge.webhooks.outcome import Outcome
from kazoo_bridge.webhooks.registry import HookRegistry
from kazoo_bridge.webhooks.requests import HookRequest, build_request
from kazoo_bridge.webhooks.sending import Sender

_log = Logger()

#: Seconds between the quick tries of one delivery.
RETRY_DELAY = 2.0

_REMEMBERED_DELIVERIES = 10_000


@frozen
class DispatchLimits:
    """How many requests may be under way."""

    max_requests: int
    max_requests_per_hook: int


@define
class _Lane:
    """One hook's share of the requests."""

    semaphore: DeferredSemaphore
    users: int = 0


@define
class Dispatcher:
    """Brings occurrences to the hooks that want them."""

    _clock: IReactorTime
    _sender: Sender
    _registry: HookRegistry
    _limits: DispatchLimits
    _recorder: AttemptRecorder
    cluster_id: str = ""
    _everyone: DeferredSemaphore = field(init=False)
    _lanes: dict[str, _Lane] = field(init=False, factory=dict)
    _delivered: OrderedDict[tuple[str, str], None] = field(init=False, factory=OrderedDict)
    _deliveries: int = field(init=False, default=0)
    _waiting_for_idle: list[Deferred[None]] = field(init=False, factory=list)
    _pauses: set[Deferred[None]] = field(init=False, factory=set)
    _draining: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._everyone = DeferredSemaphore(self._limits.max_requests)

    @property
    def under_way(self) -> int:
        """How many deliveries have begun and not ended."""
        return self._deliveries

    def waiting(self, hook_id: str) -> int:
        """How many deliveries to this hook are under way or wait for their turn."""
        lane = self._lanes.get(hook_id)
        return lane.users if lane is not None else 0

    def drain(self) -> Deferred[None]:
        """Try nothing again from now on; fires when no delivery is under way."""
        self._draining = True
        for pause in list(self._pauses):
            pause.cancel()
        waiting: Deferred[None] = Deferred(self._waiting_for_idle.remove)
        self._waiting_for_idle.append(waiting)
        self._tell_if_idle()
        return waiting

    def _ended(self) -> None:
        self._deliveries -= 1
        if not self._deliveries and self._waiting_for_idle:
            # Not at once: the caller of the last delivery shall hear of its end first, and tell the broker.
            self._clock.callLater(0, self._tell_if_idle)

    def _tell_if_idle(self) -> None:
        if not self._deliveries:
            waiting, self._waiting_for_idle = self._waiting_for_idle, []
            for one in waiting:
                one.callback(None)

    async def deliver(self, hook: Hook, occurrence: Occurrence, event_id: str) -> None:
        """Returns once the receiver has taken it, or the hook has gone.

        Raises `Unfinished` when all tries have failed, so that the broker keeps the event; a hook that
        has had the event before it came again does not get it twice.
        """
        if (event_id, hook.id) in self._delivered:
            return
        try:
            request = build_request(hook, occurrence, self.cluster_id)
        except (TypeError, ValueError) as error:
            _log.error("hook {hook_id} cannot be told of {event}: {reason}", hook_id=hook.id, event=occurrence.hook, reason=error)
            return
        self._deliveries += 1
        try:
            await self._try(hook, request, event_id)
        finally:
            self._ended()

    async def _try(self, hook: Hook, request: HookRequest, event_id: str) -> None:
        retries_left = hook.retries
        # A hook that the event brought along is not in the registry, and cannot go away.
        while not hook.revision or self._registry.get(hook.id) is not None:
            outcome = await self._in_lane(hook, request)
            self._recorder.record(hook, request, outcome, Try(event_id, hook.retries, retries_left))
            if outcome.success:
                self._remember(event_id, hook.id)
                return
            _log.info(
                "hook {hook_id} of account {account_id}: {status} {error} ({retries_left} retries left)",
                hook_id=hook.id,
                account_id=hook.account_id,
                status=outcome.status or "no answer:",
                error=outcome.error,
                retries_left=retries_left,
            )
            if self._draining or not outcome.connection_failed or not retries_left:
                raise Unfinished(f"hook {hook.id} could not be reached" if outcome.connection_failed else f"hook {hook.id} refused")
            retries_left -= 1
            await self._pause()

    async def _pause(self) -> None:
        pause: Deferred[None] = deferLater(self._clock, RETRY_DELAY)
        self._pauses.add(pause)
        try:
            await pause
        except CancelledError:
            raise Unfinished("the service is stopping") from None
        finally:
            self._pauses.discard(pause)

    async def _in_lane(self, hook: Hook, request: HookRequest) -> Outcome:
        """Send when it is this hook's turn; its own limit first, so that a slow hook holds no place of the others'."""
        lane = self._lanes.setdefault(hook.id, _Lane(DeferredSemaphore(self._limits.max_requests_per_hook)))
        lane.users += 1
        try:
            await lane.semaphore.acquire()
            try:
                await self._everyone.acquire()
                try:
                    return await self.send(request)
                finally:
                    self._everyone.release()
            finally:
                lane.semaphore.release()
        finally:
            lane.users -= 1
            if not lane.users:
                self._lanes.pop(hook.id, None)

    async def send(self, request: HookRequest) -> Outcome:
        """One attempt, answer read included, within the request time-out. Never raises for what a receiver does."""
        return await self._sender.send(request)

    def _remember(self, event_id: str, hook_id: str) -> None:
        self._delivered[event_id, hook_id] = None
        if len(self._delivered) > _REMEMBERED_DELIVERIES:
            self._delivered.popitem(last=False)


async def all_of(waiting: list[Deferred[None]]) -> None:
    """Wait for every one of them to end, then raise a failure if there was one: `Unfinished` before any other."""
    ended: Any = await DeferredList(waiting, consumeErrors=True)
    failures: list[Failure] = [result for _, result in ended if isinstance(result, Failure)]
    for failure in sorted(failures, key=lambda failure: failure.check(Unfinished) is None):
        failure.raiseException()
