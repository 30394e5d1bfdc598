"""Signals of the process, and its exit code."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.logger import Logger

_log = Logger()


#: Signals that drain the node.
_DRAINING = ("SIGTERM", "SIGINT", "SIGQUIT")

#: Signals that would end the process without draining, and mean nothing here. Not among them are signals of
#: faults, such as SIGSEGV, those that stop and continue a process, and SIGPIPE and SIGXFSZ, which Python
#: ignores already.
_IGNORED = ("SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT", "SIGXCPU")


@define(eq=False)
class SignalHandler:
    """Stops the reactor on SIGTERM, SIGINT or SIGQUIT; the exit code is 0 then, 1 after `exit_with_error`.

    SIGHUP and SIGUSR1 call what `install` receives, other signals are ignored.
    """

    _reactor: Any
    _exit_code: int = field(init=False, default=0)
    _stopping: bool = field(init=False, default=False)
    _was_signalled: bool = field(init=False, default=False)

    def install(
        self,
        on_forced: Callable[[], None],
        on_reload: Callable[[], None] = lambda: None,
        on_status: Callable[[], None] = lambda: None,
    ) -> None:
        """Handle signals: the signals that stop the process once the reactor runs, all others from now on.

        `on_forced` is called for each stopping signal after the first, `on_reload` for SIGHUP, `on_status`
        for SIGUSR1.
        """
        atexit.register(self._exit)
        for name in _IGNORED:
            self._handle(name, self._ignore)
        for number in range(int(getattr(signal, "SIGRTMIN", 1)), int(getattr(signal, "SIGRTMAX", 0)) + 1):
            signal.signal(number, lambda number, _: self._in_reactor(self._ignore, number))
        self._handle("SIGHUP", lambda number: self._report(number, "reloading", on_reload))
        self._handle("SIGUSR1", lambda number: self._report(number, "status follows", on_status))

        def set_handlers() -> None:
            for name in _DRAINING:
                self._handle(name, lambda number: self._on_signal(number, on_forced))

        # One turn later, because the reactor sets its own handlers first; with those, twistd's exit code says
        # that it was killed.
        self._reactor.callWhenRunning(lambda: self._reactor.callLater(0, set_handlers))

    def _handle(self, name: str, handle: Callable[[int], None]) -> None:
        number = getattr(signal, name, None)
        if number is not None:  # not every platform has every signal
            signal.signal(number, lambda number, _: self._in_reactor(handle, number))

    def _in_reactor(self, handle: Callable[[int], None], number: int) -> None:
        self._reactor.callFromThread(handle, number)

    def _report(self, number: int, what: str, action: Callable[[], None]) -> None:
        _log.info("{signal}: {what}", signal=signal.Signals(number).name, what=what)
        action()

    def _ignore(self, number: int) -> None:
        known = {one.value: one.name for one in signal.Signals}
        _log.info("{signal}: ignored", signal=known.get(number, f"signal {number}"))

    def exit_with_error(self, reason: str) -> None:
        """Log and print `reason`, and end the process with exit code 1."""
        _log.critical("{reason}", reason=reason)
        # sys.stderr is twistd's log at this point, which has the line already.
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"kazoo_bridge: {reason}\n")
        self._exit_code = 1
        self.stop()

    def _on_signal(self, number: int, on_forced: Callable[[], None]) -> None:
        name = signal.Signals(number).name
        if self._was_signalled:
            _log.warn(
                "{signal} again: stopping now, unfinished deliveries are made after the next start",
                signal=name,
            )
            on_forced()
            return
        # Not for `stop`: a signal to all processes of a node may reach a worker after the order to stop.
        self._was_signalled = True
        _log.info("{signal}: draining", signal=name)
        self.stop()

    def stop(self) -> None:
        """Stop the reactor; later calls do nothing."""
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()

    def _exit(self) -> None:
        # twistd itself always ends with exit code 0.
        if self._exit_code:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._exit_code)
