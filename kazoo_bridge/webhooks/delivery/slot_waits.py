"""Ends waits for slots: when their time is over, and earlier when a receiver stops answering."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.webhooks.delivery.hook_queues import STALL_TIMEOUT, SlotRequest

#: Seconds by which the timer may be late. When it is later, the node was busy, and answers may have come that
#: it has not read yet.
_MAX_LATENESS = 0.05


@define(eq=False)
class SlotWaits:
    """Calls `give_up` with each request whose wait is over. One timer serves all of them.

    Hurried requests are given up when their receiver has stopped answering for `STALL_TIMEOUT`.

    Requests that have got a slot are forgotten when all that began to wait before them are, too.
    """

    _clock: IReactorTime
    _give_up: Callable[[SlotRequest], None]
    #: How many requests wait.
    count: int = field(init=False, default=0)
    #: The requests of each time-out, in the order of their deadlines.
    _by_timeout: dict[float, deque[SlotRequest]] = field(init=False, factory=dict)
    _hurried: deque[SlotRequest] = field(init=False, factory=deque)
    _timer: IDelayedCall | None = field(init=False, default=None)
    #: When the timer is to call, in the clock's seconds.
    _expected: float = field(init=False, default=0.0)

    def add(self, request: SlotRequest, timeout: float, now: float) -> None:
        """Begin the wait of a request, `now`; `timeout` is in seconds."""
        self.count += 1
        requests = self._by_timeout.get(timeout)
        if requests is None:
            requests = self._by_timeout[timeout] = deque()
        when = request.deadline
        kept = [requests]
        if request.hurried:
            kept.append(self._hurried)
            when = min(when, now + STALL_TIMEOUT)
        for others in kept:
            # Those that wait no more are forgotten, so that their memory is used again.
            while others and not others[0].waiting:
                others.popleft()
            others.append(request)
        if self._timer is None:
            self._schedule(when)
        elif when < self._expected:
            self._timer.cancel()
            self._schedule(when)

    def ended(self) -> None:
        """Note that a request does not wait any more; its `waiting` is false."""
        self.count -= 1
        if not self.count and self._timer is not None:
            self._timer.cancel()
            self._forget()

    def _forget(self) -> None:
        self._timer = None
        self._by_timeout.clear()
        self._hurried.clear()

    def _on_timer(self) -> None:
        now = self._clock.seconds()
        late = now - self._expected > _MAX_LATENESS
        self._timer = None
        for request in self._take_due(now) + ([] if late else self._take_stalled(now)):
            if request.waiting:
                self._give_up(request)
        if self.count and self._timer is None:
            self._schedule(self._next(now))

    def _schedule(self, when: float) -> None:
        self._expected = when
        self._timer = self._clock.callLater(max(0.0, when - self._clock.seconds()), self._on_timer)

    def _take_due(self, now: float) -> list[SlotRequest]:
        due = []
        for requests in self._by_timeout.values():
            while requests and (not requests[0].waiting or requests[0].deadline <= now):
                due.append(requests.popleft())
        return due

    def _take_stalled(self, now: float) -> list[SlotRequest]:
        waiting = [request for request in self._hurried if request.waiting]
        stalled = [one for one in waiting if now - one.queue.progressed >= STALL_TIMEOUT]
        self._hurried = deque(one for one in waiting if now - one.queue.progressed < STALL_TIMEOUT)
        return stalled

    def _next(self, now: float) -> float:
        """Return when something may have to end. Called when a request waits."""
        times = [requests[0].deadline for requests in self._by_timeout.values() if requests]
        if self._hurried:
            times.append(now + STALL_TIMEOUT)
        return min(times)
