"""A broker's side of declaring and binding, answered when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel

Key = tuple[str, str]


class FakeChannel:
    """One channel of a `FakeConnection`; closed by what the broker refuses."""

    def __init__(self, broker: FakeConnection) -> None:
        self._broker = broker
        self.id = 1
        self.closed = False

    def when_closed(self) -> Deferred[Any]:
        return Deferred()

    def basic_consume(self, **_arguments: Any) -> Deferred[Any]:
        return self._broker.answer("consume", lambda: SimpleNamespace(consumer_tag="tag"))

    def exchange_declare(self, exchange: str, **_arguments: Any) -> Deferred[Any]:
        return self._broker.answer(f"exchange {exchange}", lambda: None)

    def queue_declare(self, queue: str, **_arguments: Any) -> Deferred[Any]:
        return self._broker.answer(f"queue {queue}", lambda: SimpleNamespace(queue=queue))

    def queue_bind(self, queue: str, exchange: str, routing_key: str) -> Deferred[Any]:
        if routing_key in self._broker.refused:
            self.closed = True
            return fail(BrokerClosedChannel(403, f"no access for {routing_key}"))
        return self._broker.answer(
            f"bind {routing_key}", lambda: self._broker.bound.add((exchange, routing_key))
        )

    def queue_unbind(self, queue: str, exchange: str, routing_key: str) -> Deferred[Any]:
        return self._broker.answer(
            f"unbind {routing_key}", lambda: self._broker.bound.discard((exchange, routing_key))
        )


class FakeConnection:
    """Answers at once, or with `holding` when `release` is called."""

    def __init__(self, *, holding: bool = False) -> None:
        self.holding = holding
        self.close_reason = None
        self.reader = SimpleNamespace(receivers={})
        self.cancelled: dict[int, Any] = {}
        self.write = lambda _data: None
        self.bound: set[Key] = set()
        self.refused: set[str] = set()
        self.asked: list[str] = []
        self.failing: Exception | None = None
        self._held: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def open_channel(self) -> Deferred[FakeChannel]:
        return succeed(FakeChannel(self)) if self.failing is None else fail(self.failing)

    def answer(self, what: str, act: Callable[[], Any]) -> Deferred[Any]:
        self.asked.append(what)
        if self.failing is not None:
            return fail(self.failing)
        if not self.holding:
            return succeed(act())
        answer: Deferred[Any] = Deferred()
        self._held.append((answer, act))
        return answer

    def release(self) -> None:
        """Answer all that is asked, and from now on at once."""
        self.holding = False
        while self._held:
            answer, act = self._held.pop(0)
            answer.callback(act())
