"""Whose turn it is to send: every hook has its own lane, accounts take turns, and all together stay within a bound."""

from __future__ import annotations

from collections import OrderedDict, deque

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.webhooks.hook import Hook
from kazoo_bridge.webhooks.rotation import Rotation

#: Failures in a row after which a lane is narrowed to one request at a time, until one succeeds.
_NARROW_AFTER = 5

#: One in so many places is for accounts that have few under way.
_RESERVE = 8


@define(eq=False)
class Turn:
    """A place among the requests under way; give it back with `Turns.done`. `probe`: it was granted to a lane that keeps failing."""

    lane: Lane
    granted: Deferred[None]
    probe: bool = False


@define(eq=False)
class Lane:
    """One hook's requests: those under way and those that wait. `name` is `Hook.lane`: the hook's id, if it has a lasting one."""

    name: str
    account_id: str
    interval: float = 0.0
    under_way: int = 0
    failures: int = 0
    not_before: float = 0.0
    waiting: deque[Turn] = field(factory=deque)

    @property
    def narrow(self) -> bool:
        """Whether the receiver has been failing so often that it is only probed."""
        return self.failures >= _NARROW_AFTER

    @property
    def idle(self) -> bool:
        """Whether nothing of it needs to be remembered."""
        return not (self.under_way or self.waiting or self.failures)


@define(eq=False)
class _AccountQueue:
    """An account's lanes that have somebody waiting and could send."""

    id: str
    under_way: int = 0
    ready: Rotation[Lane] = field(factory=Rotation)


@define(eq=False)
class Turns:
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
    under_way: int = field(init=False, default=0)
    _lanes: dict[str, Lane] = field(init=False, factory=dict)
    _accounts: dict[str, _AccountQueue] = field(init=False, factory=dict)
    _rotation: Rotation[_AccountQueue] = field(init=False, factory=Rotation)
    _fresh: Rotation[_AccountQueue] = field(init=False, factory=Rotation)
    _timers: dict[str, IDelayedCall] = field(init=False, factory=dict)
    _probing: int = field(init=False, default=0)
    _held_back: OrderedDict[str, Lane] = field(init=False, factory=OrderedDict)
    _granting: bool = field(init=False, default=False)

    def ask(self, hook: Hook) -> Turn:
        """Queue for a place; `granted` fires when it is there. Cancel with `leave`."""
        lane = self._lane(hook)
        turn = Turn(lane, Deferred())
        lane.waiting.append(turn)
        self._refresh(lane)
        self._grant()
        return turn

    def leave(self, turn: Turn) -> bool:
        """Give up waiting; False when the place has been granted already."""
        try:
            turn.lane.waiting.remove(turn)
        except ValueError:
            return False
        self._refresh(turn.lane)
        self._forget(turn.lane)
        return True

    def done(self, turn: Turn, success: bool | None) -> None:
        """Give a place back, and say how it went; None: nothing was sent."""
        lane = turn.lane
        lane.under_way -= 1
        self.under_way -= 1
        account = self._accounts[lane.account_id]
        account.under_way -= 1
        if success is not None:
            lane.failures = 0 if success else lane.failures + 1
        if turn.probe:
            self._probing -= 1
            if self._held_back:
                self._refresh(self._held_back.popitem(last=False)[1])
        self._refresh(lane)
        self._forget(lane)
        self._grant()

    @property
    def queued(self) -> int:
        """How many requests wait for a place, of all hooks together."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def waiting(self, lane_name: str) -> int:
        """How many requests of the hook are under way or wait for a place."""
        lane = self._lanes.get(lane_name)
        return 0 if lane is None else lane.under_way + len(lane.waiting)

    def room(self, lane_name: str) -> int:
        """How many more of the hook's requests could be under way at once, as far as the hook itself goes."""
        lane = self._lanes.get(lane_name)
        if lane is None:
            return self.per_hook
        return max(0, self._limit(lane) - lane.under_way - len(lane.waiting))

    def narrow(self, lane_name: str) -> bool:
        """Whether the hook's receiver keeps failing."""
        lane = self._lanes.get(lane_name)
        return lane is not None and lane.narrow

    def forget(self, lane_name: str) -> None:
        """The hook has changed or gone: what its receiver did before says nothing any more."""
        lane = self._lanes.get(lane_name)
        if lane is not None:
            lane.failures = 0
            self._refresh(lane)
            self._forget(lane)
            self._grant()

    def stop(self) -> None:
        """Leave no delayed call behind."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _lane(self, hook: Hook) -> Lane:
        lane = self._lanes.get(hook.lane)
        if lane is None:
            lane = self._lanes[hook.lane] = Lane(hook.lane, hook.account_id)
        lane.interval = 1 / hook.rate_limit if hook.rate_limit else 0.0
        return lane

    def _limit(self, lane: Lane) -> int:
        return 1 if lane.narrow else self.per_hook

    def _refresh(self, lane: Lane) -> None:
        """Put the lane among those that could send, or take it out."""
        account = self._accounts.get(lane.account_id)
        if account is None:
            account = self._accounts[lane.account_id] = _AccountQueue(lane.account_id)
        could = bool(lane.waiting) and lane.under_way < self._limit(lane) and not self._paced(lane)
        if could and self._may_send(lane):
            account.ready.put(lane.name, lane, lane.under_way)
        else:
            account.ready.remove(lane.name)
        if could and not self._may_send(lane):
            self._held_back.setdefault(lane.name, lane)
        else:
            self._held_back.pop(lane.name, None)
        self._settle(account)

    def _may_send(self, lane: Lane) -> bool:
        """Whether there is a place for it among those of its kind."""
        return not lane.narrow or self._probing < max(1, self.total // 2)

    def _paced(self, lane: Lane) -> bool:
        """Whether the hook's rate limit makes it wait; it is looked at again when that is over."""
        wait = lane.not_before - self._clock.seconds()
        if wait <= 0:
            return False
        if lane.name not in self._timers:
            self._timers[lane.name] = self._clock.callLater(wait, self._unpaced, lane)
        return True

    def _unpaced(self, lane: Lane) -> None:
        del self._timers[lane.name]
        self._refresh(lane)
        self._forget(lane)
        self._grant()

    def _settle(self, account: _AccountQueue) -> None:
        """Put the account into the rotation, or take it out."""
        lane = account.ready.first()
        if lane is not None and _leaves_room(lane.under_way, self.per_account - account.under_way):
            self._rotation.put(account.id, account, account.under_way)
            if not lane.under_way:
                self._fresh.put(account.id, account, account.under_way)
            else:
                self._fresh.remove(account.id)
            return
        self._rotation.remove(account.id)
        self._fresh.remove(account.id)
        if lane is None and not account.under_way:
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
        free = self.total - self.under_way
        account = self._rotation.first()
        if account is not None and _leaves_room(2 * account.under_way, free):
            return account
        return self._fresh.first() if free > self.total // _RESERVE else None

    def _grant_one(self, account: _AccountQueue, lane: Lane | None) -> None:
        if lane is None:
            raise RuntimeError("an account without a lane that could send is in the rotation")
        if not self._may_send(lane):
            self._refresh(lane)
            return
        turn = lane.waiting.popleft()
        turn.probe = lane.narrow
        self._probing += turn.probe
        lane.under_way += 1
        account.under_way += 1
        self.under_way += 1
        if lane.interval:
            lane.not_before = max(self._clock.seconds(), lane.not_before) + lane.interval
        self._refresh(lane)
        turn.granted.callback(None)

    def _forget(self, lane: Lane) -> None:
        if lane.idle and lane.name not in self._timers and lane.not_before <= self._clock.seconds():
            self._lanes.pop(lane.name, None)


def _leaves_room(weight: int, free: int) -> bool:
    """Whether somebody of this weight may have one of the free places. Who has none under way weighs nothing: one is everybody's due."""
    return weight < free
