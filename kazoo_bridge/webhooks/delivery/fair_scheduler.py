"""Bounds and shares the requests to receivers: a queue for each hook, a fair share for each account."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.config import Webhooks
from kazoo_bridge.webhooks.delivery.hook_queues import (
    CIRCUIT_FAILURES,
    AccountQueue,
    HookQueue,
    LeastLoadedQueue,
    Slot,
    SlotRequest,
)
from kazoo_bridge.webhooks.delivery.slot_waits import SlotWaits
from kazoo_bridge.webhooks.hooks.hook import Hook

#: One account may have at most one in so many of all requests in flight.
ACCOUNT_SHARE = 4

#: One in so many slots is reserved for accounts with few requests in flight.
RESERVE_SHARE = 8

#: Hooks whose circuit is open share one in so many slots.
PROBE_SHARE = 2


@define(eq=False)
class FairScheduler:
    """Grants slots: at most `total` in all, `per_account` for one account and `per_hook` for one hook.

    When slots are short, the account with the fewest requests in flight gets the next one, and of its hooks
    the one with the fewest: a million waiting requests count no more than one.

    The last slots stay free. An account is skipped while it has at least half as many requests in flight as
    there are free slots; a hook while it has at least as many as its account has slots left. A hook with none
    in flight is served as long as more than the reserve (one slot in `RESERVE_SHARE`) is free. So receivers
    that begin to hang leave slots to the other hooks, of their own account and of others.

    After `CIRCUIT_FAILURES` consecutive failures a hook's circuit is open: it gets one slot at a time until a
    request succeeds. All hooks with an open circuit share half of the slots.

    A receiver that recovers gets one request at first, and one more at the same time for each that succeeds;
    a failure halves their number.

    While slots are free (`take`), and while requests of one hook only wait, a slot is granted without a look
    at the queues of all hooks.
    """

    _clock: IReactorTime
    total: int
    per_account: int
    per_hook: int
    in_flight: int = field(init=False, default=0)
    _queues: dict[str, HookQueue] = field(init=False, factory=dict)
    _accounts: dict[str, AccountQueue] = field(init=False, factory=dict)
    #: Accounts that could send; and of these the ones whose next hook has nothing in flight.
    _ready: LeastLoadedQueue[AccountQueue] = field(init=False, factory=LeastLoadedQueue)
    _ready_with_idle_hook: LeastLoadedQueue[AccountQueue] = field(init=False, factory=LeastLoadedQueue)
    _rate_limit_timers: dict[str, IDelayedCall] = field(init=False, factory=dict)
    _probes: int = field(init=False, default=0)
    #: Hooks with an open circuit that could send, if there were not as many probes as there may be.
    _held_back: OrderedDict[str, HookQueue] = field(init=False, factory=OrderedDict)
    _granting: bool = field(init=False, default=False)
    _may_wait: bool = field(init=False, default=True)
    _waits: SlotWaits = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._waits = SlotWaits(self._clock, self._give_up)

    @classmethod
    def from_config(cls, clock: IReactorTime, config: Webhooks) -> FairScheduler:
        """Build the scheduler of the section ``[webhooks]``."""
        per_account = max(1, config.max_requests // ACCOUNT_SHARE)
        return cls(clock, config.max_requests, per_account, config.max_requests_per_hook)

    def acquire(self, hook: Hook, timeout: float) -> Deferred[Slot | None]:
        """Get a slot for one request of `hook`, waiting for it at most `timeout` seconds (0.0: not at all).

        Fires with the slot, at once when it is free; with None when there was none in time, or `stop_waiting`
        has been called. Cancelling the Deferred gives up the wait.
        """
        granted: Deferred[Slot | None] = Deferred(lambda _: self._withdraw(request))
        request = self.wait(hook, granted.callback, timeout)
        return granted

    def take(self, hook: Hook) -> Slot | None:
        """Return a slot for one request of `hook` if one is free and nothing has to be decided; else None.

        None does not mean that there is none: `wait` finds out.
        """
        queue = self._queues.get(hook.queue_key)
        if queue is None:
            queue = self._queues[hook.queue_key] = HookQueue(hook.queue_key, hook.account_id)
        elif queue.waiting or queue.in_flight >= self.per_hook:
            return None
        account = self._accounts.get(queue.account_id)
        if account is None:
            account = self._accounts[queue.account_id] = AccountQueue(queue.account_id)
        in_flight, free = queue.in_flight, self.total - self.in_flight
        if (
            account.ready.loads
            or hook.rate_limit
            or queue.interval
            or queue.ceiling
            or in_flight >= self.per_account - account.in_flight
            or queue.failures >= CIRCUIT_FAILURES
            or self._granting
            or (2 * account.in_flight >= free and (in_flight or free <= self.total // RESERVE_SHARE))
        ):
            self._discard_if_idle(queue)
            if not account.in_flight and not account.ready.loads:
                self._accounts.pop(account.id, None)
            return None
        if not in_flight:
            queue.progressed = self._clock.seconds()
        queue.in_flight = in_flight + 1
        account.in_flight += 1
        self.in_flight += 1
        return Slot(queue)

    def wait(
        self, hook: Hook, answer: Callable[[Slot | None], None], timeout: float, *, hurried: bool = False
    ) -> SlotRequest:
        """Call `answer` with a slot for one request of `hook`, perhaps before this returns.

        It is called with None if there was no slot within `timeout` seconds (0.0: at once), and if
        `stop_waiting` has been called. `hurried`: the wait ends as soon as the receiver stops answering (see
        `hook_queues.STALL_TIMEOUT`).
        """
        queue, now = self._queue_for(hook), self._clock.seconds()
        request = SlotRequest(queue, answer, now + timeout, hurried)
        queue.waiting.append(request)
        self._waits.add(request, timeout, now)
        if queue.in_flight < self.per_hook:
            self._refresh(queue)
            self._grant()
        if request.waiting and not (timeout > 0 and self._may_wait):
            self._give_up(request)
        return request

    def release(self, slot: Slot, success: bool | None, seconds: float | None = None) -> None:
        """Return a slot.

        `success`: whether the receiver accepted the request; None: nothing was sent. `seconds` is how long
        the request took.
        """
        queue = slot.queue
        if success is not None:
            queue.note_result(success, self._clock.seconds(), seconds, self.per_hook)
        if success and self._pass_on(slot):
            return
        account = self._accounts[queue.account_id]
        queue.in_flight -= 1
        account.in_flight -= 1
        self.in_flight -= 1
        if slot.half_open_probe:
            self._probes -= 1
            if self._held_back:
                self._refresh(self._held_back.popitem(last=False)[1])
        if self._waits.count:
            self._refresh(queue)
            self._discard_if_idle(queue)
            self._grant()
            return
        # Nothing waits, so nothing changes for others.
        self._discard_if_idle(queue)
        if not account.in_flight:
            self._accounts.pop(queue.account_id, None)

    def _pass_on(self, slot: Slot) -> bool:
        """Give the slot to the next request of its hook, if no other hook's waits; return whether it was."""
        queue = slot.queue
        waiting = queue.waiting
        if (
            not waiting
            or self._granting
            or slot.half_open_probe
            or queue.interval
            or queue.ceiling
            or len(waiting) != self._waits.count
        ):
            return False
        request = waiting.popleft()
        if not waiting:
            self._refresh(queue)
        self._granting = True
        try:
            self._answer(request, slot)
        finally:
            self._granting = False
        if self._ready.loads:
            self._grant()
        return True

    def reset(self, queue_key: str) -> None:
        """Forget the failures of a hook, which has been changed or deleted."""
        queue = self._queues.get(queue_key)
        if queue is not None:
            queue.failures = queue.ceiling = 0
            self._refresh(queue)
            self._discard_if_idle(queue)
            self._grant()

    def start_slowly(self, hook: Hook) -> None:
        """Let the requests of `hook` begin one at a time, because its receiver has only just recovered."""
        queue = self._queue_for(hook)
        queue.ceiling = 1
        self._refresh(queue)

    def stop_waiting(self) -> None:
        """End every wait, now and from now on: a slot that is not free is not granted."""
        self._may_wait = False
        for queue in list(self._queues.values()):
            for request in list(queue.waiting):
                self._give_up(request)

    def stop(self) -> None:
        """End every wait and cancel all delayed calls."""
        self.stop_waiting()
        for timer in self._rate_limit_timers.values():
            timer.cancel()
        self._rate_limit_timers.clear()

    @property
    def queued(self) -> int:
        """How many requests of all hooks wait for a slot."""
        return self._waits.count

    def find(self, queue_key: str) -> HookQueue | None:
        """Return the queue of a hook; None if it has no requests, and nothing to remember of earlier ones."""
        return self._queues.get(queue_key)

    def load(self, queue_key: str) -> int:
        """Return how many requests of the hook are in flight or wait for a slot."""
        queue = self._queues.get(queue_key)
        return 0 if queue is None else queue.load

    def free_slots(self, queue_key: str) -> int:
        """Return how many more requests the hook's own limit allows at the same time."""
        queue = self._queues.get(queue_key)
        if queue is None:
            return self.per_hook
        return max(0, queue.limit(self.per_hook) - queue.load)

    def circuit_open(self, queue_key: str) -> bool:
        """Return whether the hook's latest requests failed, so that its receiver is only probed."""
        queue = self._queues.get(queue_key)
        return queue is not None and queue.circuit_open

    # -- waiting

    def _give_up(self, request: SlotRequest) -> None:
        self._withdraw(request)
        request.answer(None)

    def _withdraw(self, request: SlotRequest) -> None:
        request.waiting = False
        request.queue.waiting.remove(request)
        self._waits.ended()
        self._refresh(request.queue)
        self._discard_if_idle(request.queue)

    def _answer(self, request: SlotRequest, slot: Slot) -> None:
        request.waiting = False
        self._waits.ended()
        # The request is forgotten only when its turn to end comes; what it was for need not stay that long.
        answer, request.answer = request.answer, _ignore
        answer(slot)

    # -- the hooks and accounts that could send

    def _queue_for(self, hook: Hook) -> HookQueue:
        queue = self._queues.get(hook.queue_key)
        if queue is None:
            queue = self._queues[hook.queue_key] = HookQueue(hook.queue_key, hook.account_id)
        queue.interval = 1 / hook.rate_limit if hook.rate_limit else 0.0
        return queue

    def _refresh(self, queue: HookQueue) -> None:
        """Add the hook to the ready hooks if it could send, else remove it.

        A hook that has as many requests in flight as it may is in none of the queues.
        """
        account = self._accounts.get(queue.account_id)
        if account is None:
            account = self._accounts[queue.account_id] = AccountQueue(queue.account_id)
        could_send = (
            bool(queue.waiting)
            and queue.in_flight < queue.limit(self.per_hook)
            and not self._rate_limited(queue)
        )
        if could_send and self._may_probe(queue):
            account.ready.put(queue.key, queue, queue.in_flight)
        else:
            account.ready.remove(queue.key)
        if could_send and not self._may_probe(queue):
            self._held_back.setdefault(queue.key, queue)
        else:
            self._held_back.pop(queue.key, None)
        self._refresh_account(account)

    def _may_probe(self, queue: HookQueue) -> bool:
        """Whether the hook's circuit is closed, or one more probe is allowed."""
        return not queue.circuit_open or self._probes < max(1, self.total // PROBE_SHARE)

    def _rate_limited(self, queue: HookQueue) -> bool:
        """Whether the hook's rate limit makes it wait; schedules the end of that wait."""
        wait = queue.not_before - self._clock.seconds()
        if wait <= 0:
            return False
        if queue.key not in self._rate_limit_timers:
            timer = self._clock.callLater(wait, self._on_rate_limit_over, queue)
            self._rate_limit_timers[queue.key] = timer
        return True

    def _on_rate_limit_over(self, queue: HookQueue) -> None:
        del self._rate_limit_timers[queue.key]
        self._refresh(queue)
        self._discard_if_idle(queue)
        self._grant()

    def _refresh_account(self, account: AccountQueue) -> None:
        """Add the account to the ready accounts if it could send, else remove it."""
        queue = account.ready.first()
        if queue is not None and queue.in_flight < self.per_account - account.in_flight:
            self._ready.put(account.id, account, account.in_flight)
            if not queue.in_flight:
                self._ready_with_idle_hook.put(account.id, account, account.in_flight)
            else:
                self._ready_with_idle_hook.remove(account.id)
            return
        self._ready.remove(account.id)
        self._ready_with_idle_hook.remove(account.id)
        if queue is None and not account.in_flight:
            self._accounts.pop(account.id, None)

    def _discard_if_idle(self, queue: HookQueue) -> None:
        if queue.in_flight or not queue.idle or queue.key in self._rate_limit_timers:
            return
        if not queue.not_before or queue.not_before <= self._clock.seconds():
            self._queues.pop(queue.key, None)

    # -- granting

    def _grant(self) -> None:
        if self._granting:
            return  # the call further up the stack goes on granting: no recursion with many waiting requests
        self._granting = True
        try:
            while (account := self._next_account()) is not None:
                self._grant_one(account, account.ready.first())
        finally:
            self._granting = False

    def _next_account(self) -> AccountQueue | None:
        free = self.total - self.in_flight
        account = self._ready.first()
        if account is None or 2 * account.in_flight < free:
            return account
        return self._ready_with_idle_hook.first() if free > self.total // RESERVE_SHARE else None

    def _grant_one(self, account: AccountQueue, queue: HookQueue | None) -> None:
        if queue is None:
            raise RuntimeError(f"account {account.id} is ready to send, but none of its hooks is")
        if not self._may_probe(queue):
            self._refresh(queue)
            return
        request = queue.waiting.popleft()
        slot = Slot(queue, half_open_probe=queue.circuit_open)
        self._probes += slot.half_open_probe
        if not queue.in_flight:
            queue.progressed = self._clock.seconds()
        queue.in_flight += 1
        account.in_flight += 1
        self.in_flight += 1
        if queue.interval:
            queue.not_before = max(self._clock.seconds(), queue.not_before) + queue.interval
        self._refresh(queue)
        self._answer(request, slot)


def _ignore(_slot: Slot | None) -> None:
    """The answer of a request that has been answered."""
