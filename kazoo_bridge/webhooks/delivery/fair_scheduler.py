"""Whose turn it is to send: every hook has its own lane, accounts take turns, and all together stay within a bound."""

from __future__ import annotations

from collections import OrderedDict, deque

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.webhooks.delivery.least_loaded_queue import LeastLoadedQueue
from kazoo_bridge.webhooks.hooks.hook import Hook

#: Failures in a row after which a lane is narrowed to one request at a time, until one succeeds.
CIRCUIT_FAILURES = 5

#: One in so many places is for accounts that have few under way.
RESERVE_SHARE = 8


@define(eq=False)
class Slot:
    """A place among the requests under way; give it back with `FairScheduler.release`. `probe`: it was granted to a lane that keeps failing."""

    queue: HookQueue
    granted: Deferred[None]
    half_open_probe: bool = False


@define(eq=False)
class HookQueue:
    """One hook's requests: those under way and those that wait. `name` is `Hook.queue_key`: the hook's id, if it has a lasting one."""

    key: str
    account_id: str
    interval: float = 0.0
    in_flight: int = 0
    failures: int = 0
    not_before: float = 0.0
    waiting: deque[Slot] = field(factory=deque)

    @property
    def circuit_open(self) -> bool:
        """Whether the receiver has been failing so often that it is only probed."""
        return self.failures >= CIRCUIT_FAILURES

    @property
    def idle(self) -> bool:
        """Whether nothing of it needs to be remembered."""
        return not (self.in_flight or self.waiting or self.failures)


@define(eq=False)
class _AccountQueue:
    """An account's lanes that have somebody waiting and could send."""

    id: str
    in_flight: int = 0
    ready: LeastLoadedQueue[HookQueue] = field(factory=LeastLoadedQueue)


@define(eq=False)
class FairScheduler:
    """Grants places: at most `total` in all, `per_account` for one account, `per_hook` for one hook.

    When places are short, the account with the fewest requests under way gets the next one, and of its hooks the one with the fewest:
    whoever has a million requests waiting gets no more than whoever has one. And nobody takes the last places: an account gets none when
    it has more than half of what is left for others, nor a hook when it has as much as is left of what its account may have; but a hook
    that has none under way gets one as long as more than a reserve is left. So receivers that begin to hang leave places to those that do
    not, in their own account and in others. Lanes that keep failing, whose receivers may well hang, share half of all places.
    """

    _clock: IReactorTime
    total: int
    per_account: int
    per_hook: int
    in_flight: int = field(init=False, default=0)
    _queues: dict[str, HookQueue] = field(init=False, factory=dict)
    _accounts: dict[str, _AccountQueue] = field(init=False, factory=dict)
    _ready: LeastLoadedQueue[_AccountQueue] = field(init=False, factory=LeastLoadedQueue)
    _idle_accounts: LeastLoadedQueue[_AccountQueue] = field(init=False, factory=LeastLoadedQueue)
    _timers: dict[str, IDelayedCall] = field(init=False, factory=dict)
    _probing: int = field(init=False, default=0)
    _held_back: OrderedDict[str, HookQueue] = field(init=False, factory=OrderedDict)
    _granting: bool = field(init=False, default=False)

    def acquire(self, hook: Hook) -> Slot:
        """Queue for a place; `granted` fires when it is there. Cancel with `leave`."""
        lane = self._queue_for(hook)
        turn = Slot(lane, Deferred())
        lane.waiting.append(turn)
        self._refresh(lane)
        self._grant()
        return turn

    def cancel(self, turn: Slot) -> bool:
        """Give up waiting; False when the place has been granted already."""
        try:
            turn.queue.waiting.remove(turn)
        except ValueError:
            return False
        self._refresh(turn.queue)
        self._discard_if_idle(turn.queue)
        return True

    def release(self, turn: Slot, success: bool | None) -> None:
        """Give a place back, and say how it went; None: nothing was sent."""
        lane = turn.queue
        lane.in_flight -= 1
        self.in_flight -= 1
        account = self._accounts[lane.account_id]
        account.in_flight -= 1
        if success is not None:
            lane.failures = 0 if success else lane.failures + 1
        if turn.half_open_probe:
            self._probing -= 1
            if self._held_back:
                self._refresh(self._held_back.popitem(last=False)[1])
        self._refresh(lane)
        self._discard_if_idle(lane)
        self._grant()

    @property
    def queued(self) -> int:
        """How many requests wait for a place, of all hooks together."""
        return sum(len(lane.waiting) for lane in self._queues.values())

    def load(self, lane_name: str) -> int:
        """How many requests of the hook are under way or wait for a place."""
        lane = self._queues.get(lane_name)
        return 0 if lane is None else lane.in_flight + len(lane.waiting)

    def free_slots(self, lane_name: str) -> int:
        """How many more of the hook's requests could be under way at once, as far as the hook itself goes."""
        lane = self._queues.get(lane_name)
        if lane is None:
            return self.per_hook
        return max(0, self._limit(lane) - lane.in_flight - len(lane.waiting))

    def circuit_open(self, lane_name: str) -> bool:
        """Whether the hook's receiver keeps failing."""
        lane = self._queues.get(lane_name)
        return lane is not None and lane.circuit_open

    def reset(self, lane_name: str) -> None:
        """The hook has changed or gone: what its receiver did before says nothing any more."""
        lane = self._queues.get(lane_name)
        if lane is not None:
            lane.failures = 0
            self._refresh(lane)
            self._discard_if_idle(lane)
            self._grant()

    def stop(self) -> None:
        """Leave no delayed call behind."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _queue_for(self, hook: Hook) -> HookQueue:
        lane = self._queues.get(hook.queue_key)
        if lane is None:
            lane = self._queues[hook.queue_key] = HookQueue(hook.queue_key, hook.account_id)
        lane.interval = 1 / hook.rate_limit if hook.rate_limit else 0.0
        return lane

    def _limit(self, lane: HookQueue) -> int:
        return 1 if lane.circuit_open else self.per_hook

    def _refresh(self, lane: HookQueue) -> None:
        """Put the lane among those that could send, or take it out."""
        account = self._accounts.get(lane.account_id)
        if account is None:
            account = self._accounts[lane.account_id] = _AccountQueue(lane.account_id)
        could = bool(lane.waiting) and lane.in_flight < self._limit(lane) and not self._rate_limited(lane)
        if could and self._is_eligible(lane):
            account.ready.put(lane.key, lane, lane.in_flight)
        else:
            account.ready.remove(lane.key)
        if could and not self._is_eligible(lane):
            self._held_back.setdefault(lane.key, lane)
        else:
            self._held_back.pop(lane.key, None)
        self._settle(account)

    def _is_eligible(self, lane: HookQueue) -> bool:
        """Whether there is a place for it among those of its kind."""
        return not lane.circuit_open or self._probing < max(1, self.total // 2)

    def _rate_limited(self, lane: HookQueue) -> bool:
        """Whether the hook's rate limit makes it wait; it is looked at again when that is over."""
        wait = lane.not_before - self._clock.seconds()
        if wait <= 0:
            return False
        if lane.key not in self._timers:
            self._timers[lane.key] = self._clock.callLater(wait, self._rate_limit_over, lane)
        return True

    def _rate_limit_over(self, lane: HookQueue) -> None:
        del self._timers[lane.key]
        self._refresh(lane)
        self._discard_if_idle(lane)
        self._grant()

    def _settle(self, account: _AccountQueue) -> None:
        """Put the account into the rotation, or take it out."""
        lane = account.ready.first()
        if lane is not None and _within_share(lane.in_flight, self.per_account - account.in_flight):
            self._ready.put(account.id, account, account.in_flight)
            if not lane.in_flight:
                self._idle_accounts.put(account.id, account, account.in_flight)
            else:
                self._idle_accounts.remove(account.id)
            return
        self._ready.remove(account.id)
        self._idle_accounts.remove(account.id)
        if lane is None and not account.in_flight:
            self._accounts.pop(account.id, None)

    def _grant(self) -> None:
        if self._granting:
            return  # whoever is granting further up the stack goes on with it
        self._granting = True
        try:
            while (account := self._next()) is not None:
                self._grant_one(account, account.ready.first())
        finally:
            self._granting = False

    def _next(self) -> _AccountQueue | None:
        free = self.total - self.in_flight
        account = self._ready.first()
        if account is not None and _within_share(2 * account.in_flight, free):
            return account
        return self._idle_accounts.first() if free > self.total // RESERVE_SHARE else None

    def _grant_one(self, account: _AccountQueue, lane: HookQueue | None) -> None:
        if lane is None:
            raise RuntimeError("an account without a lane that could send is in the rotation")
        if not self._is_eligible(lane):
            self._refresh(lane)
            return
        turn = lane.waiting.popleft()
        turn.half_open_probe = lane.circuit_open
        self._probing += turn.half_open_probe
        lane.in_flight += 1
        account.in_flight += 1
        self.in_flight += 1
        if lane.interval:
            lane.not_before = max(self._clock.seconds(), lane.not_before) + lane.interval
        self._refresh(lane)
        turn.granted.callback(None)

    def _discard_if_idle(self, lane: HookQueue) -> None:
        if lane.idle and lane.key not in self._timers and lane.not_before <= self._clock.seconds():
            self._queues.pop(lane.key, None)


def _within_share(weight: int, free: int) -> bool:
    """Whether somebody of this weight may have one of the free places. Who has none under way weighs nothing: one is everybody's due."""
    return weight < free
