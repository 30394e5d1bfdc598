"""What finding the event categories logs, for commands that print it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from kazoo_bridge.log_escaping import escape_for_log


@define(eq=False)
class PluginProblems:
    """`errors`: what is left out, and why. `warnings`: mistakes in categories that work."""

    errors: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)

    def add(self, event: LogEvent) -> None:
        """Keep a log event that is a problem, as one line."""
        level = event.get("log_level")
        if level not in (LogLevel.warn, LogLevel.error, LogLevel.critical):
            return
        failure = event.get("log_failure")
        reason = "" if failure is None else f": {failure.type.__name__}: {failure.getErrorMessage()}"
        line = escape_for_log((formatEvent(event) or "").strip() + reason)
        (self.warnings if level is LogLevel.warn else self.errors).append(line)


@contextmanager
def collect_problems() -> Iterator[PluginProblems]:
    """Collect the problems that are logged meanwhile."""
    problems = PluginProblems()

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        problems.add(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield problems
    finally:
        globalLogPublisher.removeObserver(observe)
