"""The process around the service: signals that drain it, and the exit code that tells how it went."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.logger import Logger

_log = Logger()


@define
class SignalHandler:
    """Ends the process in order: exit code 0 after a drain, 1 when the service could not start."""

    _reactor: Any
    _exit_code: int = 0
    _stopping: bool = False

    def install(self, hurry: Callable[[], None]) -> None:
        """From when the reactor runs, SIGTERM and SIGINT drain the service; a second one calls `hurry`."""
        atexit.register(self._exit)

        def listen() -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(
                    number, lambda number, _: self._reactor.callFromThread(self._signalled, number, hurry)
                )

        # One turn later, as the reactor's own handlers, which would make the exit code say "killed", come first.
        self._reactor.callWhenRunning(lambda: self._reactor.callLater(0, listen))

    def exit_with_error(self, reason: str) -> None:
        """End the process with exit code 1."""
        _log.critical("{reason}", reason=reason)
        # The log has it already, and twistd has put the log in the place of sys.stderr.
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"kazoo_bridge: {reason}\n")
        self._exit_code = 1
        self._stop()

    def _signalled(self, number: int, hurry: Callable[[], None]) -> None:
        name = signal.Signals(number).name
        if self._stopping:
            _log.warn("{signal} again: leaving at once what is not finished to the next start", signal=name)
            hurry()
            return
        _log.info("{signal}: draining", signal=name)
        self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()

    def _exit(self) -> None:
        # twistd has no way to end with a code of one's own.
        if self._exit_code:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._exit_code)
