"""The queues of the scheduler: of each hook, of each account, and ordered by load."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field

#: Consecutive failures after which a hook gets one request at a time, until one succeeds.
CIRCUIT_FAILURES = 5

#: Seconds without an answer of a receiver after which it is taken to have stopped answering.
STALL_TIMEOUT = 0.25

#: The part of a request's duration in the mean of its hook's.
_DURATION_WEIGHT = 0.1

T = TypeVar("T")


@define(eq=False)
class LeastLoadedQueue(Generic[T]):
    """Items by key, ordered by load; of equal loads, the item that has waited longest comes first.

    `put` and `remove` take constant time; `first` takes time proportional to the smallest load.
    """

    #: The load of each item, by key.
    loads: dict[str, int] = field(init=False, factory=dict)
    _levels: list[OrderedDict[str, T]] = field(init=False, factory=list)

    def put(self, key: str, item: T, load: int) -> None:
        """Add `item`, or move it behind the others of its new load; with the same load it keeps its place."""
        if self.loads.get(key) == load:
            return
        self.remove(key)
        while len(self._levels) <= load:
            self._levels.append(OrderedDict())
        self._levels[load][key] = item
        self.loads[key] = load

    def remove(self, key: str) -> None:
        """Remove the item of this key, if there is one."""
        load = self.loads.pop(key, None)
        if load is not None:
            del self._levels[load][key]

    def first(self) -> T | None:
        """Return the item with the smallest load; None when the queue is empty."""
        if self.loads:
            for level in self._levels:
                if level:
                    return next(iter(level.values()))
        return None


@define(eq=False)
class Slot:
    """The permission to send one request of a hook; return it with `FairScheduler.release`.

    `half_open_probe`: granted while the hook's circuit was open, to see whether its receiver has recovered.
    """

    queue: HookQueue
    half_open_probe: bool = False


@define(eq=False)
class SlotRequest:
    """A request for a slot that waits; `answer` is called once, with the slot or None.

    `deadline` is when the wait ends, in the clock's seconds. `hurried`: it ends earlier if the receiver stops
    answering.
    """

    queue: HookQueue
    answer: Callable[[Slot | None], None]
    deadline: float
    hurried: bool = False
    waiting: bool = True


@define(eq=False)
class HookQueue:
    """One hook's requests: how many are in flight, and which wait for a slot.

    `key` is `Hook.queue_key`. `interval` is the time between two requests by the hook's rate limit (0.0: no
    limit), `not_before` the time of the next; both in seconds. `ceiling`: how many requests may be in flight
    while the receiver recovers; 0: as many as those of other hooks. `duration` is the mean of the latest
    requests' durations in seconds, 0.0 before the first has ended; `progressed` is when the latest one ended
    or, after a time without any, began.
    """

    key: str
    account_id: str
    interval: float = 0.0
    in_flight: int = 0
    failures: int = 0
    not_before: float = 0.0
    ceiling: int = 0
    duration: float = 0.0
    progressed: float = 0.0
    waiting: deque[SlotRequest] = field(factory=deque)

    @property
    def circuit_open(self) -> bool:
        """Whether the latest requests failed, so that the receiver is only probed."""
        return self.failures >= CIRCUIT_FAILURES

    @property
    def idle(self) -> bool:
        """Whether the queue has no state to remember, the rate limit aside."""
        return not (self.in_flight or self.waiting or self.failures or self.ceiling)

    @property
    def load(self) -> int:
        """How many requests are in flight or wait for a slot."""
        return self.in_flight + len(self.waiting)

    def limit(self, per_hook: int) -> int:
        """Return how many requests may be in flight; `per_hook` is the limit of all hooks."""
        return 1 if self.circuit_open else self.ceiling or per_hook

    def note_result(self, success: bool, now: float, seconds: float | None, per_hook: int) -> None:
        """Note that a request has ended, `now`, after so many seconds (None: unknown)."""
        self.failures = 0 if success else self.failures + 1
        self.progressed = now
        if seconds is not None:
            self.duration += (seconds - self.duration) * (_DURATION_WEIGHT if self.duration else 1.0)
        if self.ceiling:
            raised = self.ceiling + 1 if success else max(1, self.ceiling // 2)
            self.ceiling = raised if raised < per_hook else 0

    def is_congested(self, now: float, longest_wait: float, many: int, per_hook: int) -> bool:
        """Return whether a further request would wait longer than `longest_wait` seconds.

        That is estimated by the durations of the latest requests. The queue is also congested if `many` wait
        and the receiver has stopped answering.
        """
        if not self.waiting:
            return False
        idle, waiting = now - self.progressed, len(self.waiting)
        if idle >= STALL_TIMEOUT and waiting >= many:
            return True
        one_by_one = max(self.duration, idle) * waiting
        return one_by_one > longest_wait and one_by_one > longest_wait * self.limit(per_hook)


@define(eq=False)
class AccountQueue:
    """One account's requests in flight, and those of its hooks that could send another one now."""

    id: str
    in_flight: int = 0
    ready: LeastLoadedQueue[HookQueue] = field(factory=LeastLoadedQueue)
