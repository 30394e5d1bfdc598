"""One run of a worker, as the first process of its node sees it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from kazoo_bridge.node.processes.link import MESSAGES, Message, ProcessLink

#: Why a worker delivers nothing, if it has not said so itself.
STARTING, ENDED, QUIET = "it is still starting", "it has ended", "it shows no sign of life"

#: Calls of `WorkerProcess.check_life` without a sign of life, after which the worker is said to be quiet.
QUIET_CHECKS = 1

#: Seconds after the end of a process in which what it has written is read from its pipes.
PIPES_TIMEOUT = 1.0

#: Bytes of a line of the worker's log, beyond which it is passed on in pieces.
_MAX_LINE_BYTES = 65536


class WorkerProcess(ProcessProtocol):
    """Passes orders, answers, signs of life and the worker's log on.

    `on_log` receives whole lines of what the worker prints, if it does not print where this process does.
    `on_ended` is called with the failure that says how the process ended.
    """

    def __init__(
        self,
        clock: IReactorTime,
        on_log: Callable[[bytes], None],
        on_ended: Callable[[Failure], None],
    ) -> None:
        self._clock = clock
        self._on_log = on_log
        self._on_ended = on_ended
        self._link = ProcessLink(self._on_message)
        self._ids = count()
        self._waiting: dict[int, Deferred[Message | None]] = {}
        self._printed: dict[int, bytes] = {}
        #: How often `check_life` was called since the last sign of life.
        self._quiet_checks = 0
        #: Whether it has come so far in its start that it follows orders.
        self.follows_orders = False
        #: Why the worker consumes no events, as it says; None: it does.
        self._problem: str | None = STARTING
        self._closing: IDelayedCall | None = None
        self.ended: Deferred[None] = Deferred()

    @property
    def problem(self) -> str | None:
        """Why the worker consumes no events; None: it does."""
        return QUIET if self._is_quiet else self._problem

    @property
    def can_answer(self) -> bool:
        """Whether it is worth to wait for an answer."""
        return self.follows_orders and not self._is_quiet

    @property
    def _is_quiet(self) -> bool:
        return self.follows_orders and self._quiet_checks > QUIET_CHECKS

    def connectionMade(self) -> None:
        """Open the link."""
        self._link.makeConnection(self.transport)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Read a part of a message, or of the log."""
        if childFD == MESSAGES:
            self._link.dataReceived(data)
            return
        lines, newline, rest = (self._printed.get(childFD, b"") + data).rpartition(b"\n")
        if len(rest) > _MAX_LINE_BYTES:
            lines, newline, rest = lines + newline + rest, b"\n", b""
        self._printed[childFD] = rest
        if newline:
            self._on_log(lines + newline)

    def processExited(self, reason: Failure) -> None:
        """Close the pipes soon: another process, which the worker has started, may hold their ends open."""
        self._closing = self._clock.callLater(PIPES_TIMEOUT, self._close_pipes)

    def _close_pipes(self) -> None:
        transport: Any = self.transport
        for descriptor in (0, 1, 2, MESSAGES):
            transport.closeChildFD(descriptor)

    def processEnded(self, reason: Failure) -> None:
        """Let nothing wait for this process."""
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        for rest in filter(None, self._printed.values()):
            self._on_log(rest + b"\n")
        self._link.connectionLost(reason)
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.callback(None)
        self._on_ended(reason)
        self.give_up()

    def give_up(self) -> None:
        """Let `ended` fire, even if the process has not ended."""
        if not self.ended.called:
            self.ended.callback(None)

    def check_life(self) -> int:
        """Return how often this was called since the last sign of life, with this call.

        Calls are counted, not seconds: after the clock was set, or this process was stopped, signs of life
        wait to be read.
        """
        self._quiet_checks += 1
        return self._quiet_checks

    def kill(self) -> bool:
        """Kill the process. Returns False if it has ended already."""
        return self._signal("KILL")

    def _signal(self, name: str) -> bool:
        transport: Any = self.transport
        try:
            transport.signalProcess(name)
        except ProcessExitedAlready:
            return False
        return True

    def order(self, what: str) -> None:
        """Send an order that has no answer."""
        self._link.send({"do": what})

    def stop(self) -> None:
        """Let the process drain, or end it if it has not come so far that it follows orders."""
        self.order("stop")
        if not self.follows_orders:
            self._signal("TERM")

    def ask(self, what: str, timeout: float) -> Deferred[Message | None]:
        """Send an order; the result is its answer, None if there is none within `timeout` seconds."""
        number = next(self._ids)
        answer: Deferred[Message | None] = Deferred()
        self._waiting[number] = answer
        timer = self._clock.callLater(timeout, self._answer, number, None)

        def done(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            return result

        self._link.send({"do": what, "id": number})
        return answer.addBoth(done)

    def _on_message(self, message: Message) -> None:
        self._quiet_checks = 0
        self.follows_orders = True
        if "id" in message:
            self._answer(message["id"], message)
        else:
            self._problem = message["problem"]

    def _answer(self, number: int, answer: Message | None) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.callback(answer)
