"""The queues of the scheduler: of each hook, of each account, and ordered by load."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

#: Consecutive failures after which a hook gets one request at a time, until one succeeds.
CIRCUIT_FAILURES = 5

T = TypeVar("T")


@define(eq=False)
class LeastLoadedQueue(Generic[T]):
    """Items by key, ordered by load; of equal loads, the item that has waited longest comes first.

    `put` and `remove` take constant time; `first` takes time proportional to the smallest load.
    """

    _levels: list[OrderedDict[str, T]] = field(init=False, factory=list)
    _load_of: dict[str, int] = field(init=False, factory=dict)

    def __len__(self) -> int:
        return len(self._load_of)

    def put(self, key: str, item: T, load: int) -> None:
        """Add `item`, or move it behind the others of its new load; with the same load it keeps its place."""
        if self._load_of.get(key) == load:
            return
        self.remove(key)
        while len(self._levels) <= load:
            self._levels.append(OrderedDict())
        self._levels[load][key] = item
        self._load_of[key] = load

    def remove(self, key: str) -> None:
        """Remove the item of this key, if there is one."""
        load = self._load_of.pop(key, None)
        if load is not None:
            del self._levels[load][key]

    def first(self) -> T | None:
        """Return the item with the smallest load; None when the queue is empty."""
        return next((next(iter(level.values())) for level in self._levels if level), None)


@define(eq=False)
class Slot:
    """The permission to send one request of a hook; return it with `FairScheduler.release`.

    `half_open_probe`: granted while the hook's circuit was open, to see whether its receiver has recovered.
    """

    queue: HookQueue
    half_open_probe: bool = False


@define(eq=False)
class SlotRequest:
    """A request for a slot that waits; `timer` ends the wait."""

    queue: HookQueue
    granted: Deferred[Slot | None]
    timer: IDelayedCall | None = None


@define(eq=False)
class HookQueue:
    """One hook's requests: how many are in flight, and which wait for a slot.

    `key` is `Hook.queue_key`. `interval` is the time between two requests by the hook's rate limit (0.0: no
    limit), `not_before` the time of the next; both in seconds. `ceiling`: how many requests may be in flight
    while the receiver recovers; 0: as many as those of other hooks.
    """

    key: str
    account_id: str
    interval: float = 0.0
    in_flight: int = 0
    failures: int = 0
    not_before: float = 0.0
    ceiling: int = 0
    waiting: deque[SlotRequest] = field(factory=deque)

    @property
    def circuit_open(self) -> bool:
        """Whether the latest requests failed, so that the receiver is only probed."""
        return self.failures >= CIRCUIT_FAILURES

    @property
    def idle(self) -> bool:
        """Whether the queue has no state to remember, the rate limit aside."""
        return not (self.in_flight or self.waiting or self.failures or self.ceiling)


@define(eq=False)
class AccountQueue:
    """One account's requests in flight, and those of its hooks that could send another one now."""

    id: str
    in_flight: int = 0
    ready: LeastLoadedQueue[HookQueue] = field(factory=LeastLoadedQueue)
