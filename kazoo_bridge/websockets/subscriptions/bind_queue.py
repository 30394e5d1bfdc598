"""Brings the topics at the broker in line with the wanted ones, a few at a time and account by account."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import BusUnavailable, IConsumer, Topic

_log = Logger()

#: Topics about which the broker is asked at once. Enough for two batches of the bus, one of them on its way.
MAX_IN_FLIGHT = 200

#: Seconds that the broker has for its next answer.
ANSWER_TIMEOUT = 5.0


class Unanswered(Exception):
    """The broker has answered nothing within `ANSWER_TIMEOUT`."""


@frozen(eq=False)
class _Request:
    """A topic whose binding may have to change; `done` fires with the result, unless there is no waiter."""

    topic: Topic
    done: Deferred[None] | None


@frozen(eq=False)
class _Asked:
    """A request that the broker has received, at a time in seconds."""

    request: _Request
    answer: Deferred[None]
    at: float


@define(eq=False)
class BindQueue:
    """Binds topics that are in `wanted` when their turn comes, and unbinds the others.

    Accounts take turns, so that none waits behind the thousands of topics of another.
    """

    _clock: IReactorTime
    _consumer: IConsumer
    _wanted: Container[Topic]
    _waiting: OrderedDict[str, deque[_Request]] = field(init=False, factory=OrderedDict)
    #: In the order of asking.
    _asked: dict[int, _Asked] = field(init=False, factory=dict)
    _count: int = field(init=False, default=0)
    _answered_at: float = field(init=False, default=0.0)
    _asking: bool = field(init=False, default=False)
    _timer: IDelayedCall | None = field(init=False, default=None)

    def bind(self, topic: Topic, account_id: str) -> Deferred[None]:
        """Bind a topic for a client of the account.

        Fires when the broker has bound it, or nothing wants it any more. Fails as `IConsumer.bind`, or with
        `Unanswered`.
        """
        done: Deferred[None] = Deferred()
        self._add(_Request(topic, done), account_id)
        return done

    def unbind(self, topic: Topic, account_id: str) -> None:
        """Unbind a topic that no client wants any more, for the account of the last one."""
        self._add(_Request(topic, None), account_id)

    def __len__(self) -> int:
        """The number of requests that wait for their turn."""
        return sum(map(len, self._waiting.values()))

    def stop(self) -> None:
        """Forget everything; what waits fires."""
        requests = [asked.request for asked in self._asked.values()]
        requests += [request for waiting in self._waiting.values() for request in waiting]
        self._asked.clear()
        self._waiting.clear()
        self._set_timer()
        for request in requests:
            _fire(request, None)

    def _add(self, request: _Request, account_id: str) -> None:
        self._waiting.setdefault(account_id, deque()).append(request)
        self._ask()

    def _ask(self) -> None:
        # Answers may come at once, and their receivers may add requests: one loop serves them all.
        if self._asking:
            return
        self._asking = True
        try:
            while self._waiting and len(self._asked) < MAX_IN_FLIGHT:
                account_id, requests = self._waiting.popitem(last=False)
                request = requests.popleft()
                if requests:
                    self._waiting[account_id] = requests
                self._ask_about(request)
        finally:
            self._asking = False
        self._set_timer()

    def _ask_about(self, request: _Request) -> None:
        if request.topic in self._wanted:
            answer = self._consumer.bind(request.topic)
        else:
            answer = self._consumer.unbind(request.topic)
        if answer.called:
            answer.addBoth(lambda result: _fire(request, result))
            return
        self._count += 1
        self._asked[self._count] = _Asked(request, answer, self._clock.seconds())
        answer.addBoth(self._on_answer, self._count)

    def _on_answer(self, result: Failure | None, number: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is not None:
            self._answered_at = self._clock.seconds()
            _fire(asked.request, result)
            self._ask()

    @property
    def _due(self) -> float | None:
        """When the broker's next answer is due, in seconds; None: none is."""
        oldest = next(iter(self._asked.values()), None)
        return None if oldest is None else max(oldest.at, self._answered_at) + ANSWER_TIMEOUT

    def _set_timer(self) -> None:
        due = self._due
        if due is None and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif due is not None and self._timer is None:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        due = self._due
        if due is not None and due <= self._clock.seconds():
            self._expire()
        self._ask()

    def _expire(self) -> None:
        """Fail the requests whose time is over.

        Requests that wait for their turn fail, too: the broker would not answer them either.
        """
        last = self._clock.seconds() - ANSWER_TIMEOUT
        expired = {number: asked for number, asked in self._asked.items() if asked.at <= last}
        requests = [asked.request for asked in expired.values()]
        requests += [request for waiting in self._waiting.values() for request in waiting]
        self._waiting.clear()
        for number, asked in expired.items():
            del self._asked[number]
            asked.answer.cancel()
        for request in requests:
            _fire(request, Failure(Unanswered()))


def _fire(request: _Request, result: Failure | None) -> None:
    if request.done is not None:
        request.done.callback(result)
    elif result is not None and not result.check(Unanswered):
        result.trap(BusUnavailable)
        _log.warn(
            "unbinding failed exchange={exchange} pattern={pattern} reason={reason}",
            exchange=request.topic.exchange,
            pattern=request.topic.pattern,
            reason=result.value,
        )
