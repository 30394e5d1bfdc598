"""What the tests of the buses share: handlers that record events, waiting for a condition, captured logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from kazoo_bridge.kazoo import Event


async def until(condition: Callable[[], object], what: str, within: float = 40.0) -> None:
    """Wait for the condition; fail, naming `what` was expected, after `within` seconds."""
    deadline = reactor.seconds() + within
    while not condition():
        if reactor.seconds() > deadline:
            raise AssertionError(f"waited {within} s in vain for {what}")
        await deferLater(reactor, 0.01)


class RecordingHandler:
    """A handler that keeps the events and returns the result of `action`."""

    def __init__(self, action: Callable[[Event], Any] = lambda _event: None) -> None:
        self.events: list[Event] = []
        self._action = action

    def __call__(self, event: Event) -> Any:
        self.events.append(event)
        return self._action(event)

    @property
    def keys(self) -> list[str]:
        """The routing keys of the events."""
        return [event.routing_key for event in self.events]

    @property
    def numbers(self) -> list[int]:
        """The values of the events' key ``n``."""
        return [event.body["n"] for event in self.events]

    def has(self, number: int) -> Callable[[], bool]:
        """Return a condition for `until`: so many events have arrived."""
        return lambda: len(self.events) >= number

    async def wait_for(self, number: int) -> None:
        """Wait until so many events have arrived."""
        await until(self.has(number), f"{number} events, {len(self.events)} came", within=10)


class HoldingHandler(RecordingHandler):
    """A handler that finishes the oldest event with each call of `finish`."""

    def __init__(self) -> None:
        super().__init__(self._hold)
        self.held: list[Deferred[None]] = []
        self.max_held = 0

    def _hold(self, _event: Event) -> Deferred[None]:
        self.held.append(Deferred())
        self.max_held = max(self.max_held, len(self.held))
        return self.held[-1]

    def finish(self) -> None:
        """Finish the oldest event that is held."""
        self.held.pop(0).callback(None)


class FakeCompletion:
    """A `Completion` that ends when the test says so."""

    def __init__(self) -> None:
        self._ended: Deferred[None] = Deferred()
        self._is_awaited = False

    def when_done(self, done: Callable[[Failure | None], None]) -> None:
        assert not self._is_awaited, "it is called at most once"
        self._is_awaited = True
        self._ended.addCallbacks(lambda _: done(None), done)

    def succeed(self) -> FakeCompletion:
        """End it."""
        self._ended.callback(None)
        return self

    def fail(self, error: Exception) -> FakeCompletion:
        """End it with a failure."""
        self._ended.errback(error)
        return self


class CapturedLog:
    """Collects log events while it is entered."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self._observer = cast(ILogObserver, self.events.append)

    def __enter__(self) -> CapturedLog:
        globalLogPublisher.addObserver(self._observer)
        return self

    def __exit__(self, *_exc: object) -> None:
        globalLogPublisher.removeObserver(self._observer)

    def at_least(self, level: LogLevel) -> list[str]:
        """Return the text of all events of this level or a higher one."""
        return [
            formatEvent(event) for event in self.events if event.get("log_level", LogLevel.debug) >= level
        ]
