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


@define(eq=False)
class SignalHandler:
    """Stops the reactor on SIGTERM or SIGINT. The exit code is 0 then, and 1 after `exit_with_error`."""

    _reactor: Any
    _exit_code: int = field(init=False, default=0)
    _stopping: bool = field(init=False, default=False)

    def install(self, on_forced: Callable[[], None]) -> None:
        """Handle signals once the reactor runs; `on_forced` is called for each signal after the first."""
        atexit.register(self._exit)

        def set_handlers() -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(
                    number,
                    lambda number, _: self._reactor.callFromThread(self._on_signal, number, on_forced),
                )

        # One turn later, because the reactor sets its own handlers first; with those, twistd's exit code says
        # that it was killed.
        self._reactor.callWhenRunning(lambda: self._reactor.callLater(0, set_handlers))

    def exit_with_error(self, reason: str) -> None:
        """Log and print `reason`, and end the process with exit code 1."""
        _log.critical("{reason}", reason=reason)
        # sys.stderr is twistd's log at this point, which has the line already.
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"kazoo_bridge: {reason}\n")
        self._exit_code = 1
        self._stop()

    def _on_signal(self, number: int, on_forced: Callable[[], None]) -> None:
        name = signal.Signals(number).name
        if self._stopping:
            _log.warn(
                "{signal} again: stopping now, unfinished deliveries are made after the next start",
                signal=name,
            )
            on_forced()
            return
        _log.info("{signal}: draining", signal=name)
        self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()

    def _exit(self) -> None:
        # twistd itself always ends with exit code 0.
        if self._exit_code:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._exit_code)
