"""The log observer of a node: filters, formats and writes, with settings that can change while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import (
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

from kazoo_bridge.config import Log
from kazoo_bridge.log_context import add_log_fields
from kazoo_bridge.log_escaping import escape_log_event
from kazoo_bridge.node.log.formats import FORMATS, LogFormat, priority
from kazoo_bridge.node.log.repeats import RepeatFilter
from kazoo_bridge.rest.server.access_log import ACCESS_NAMESPACE

#: What Twisted says of each connection, which counts as debug: the bus reports its connections itself.
_DETAILS = frozenset(
    (
        "Starting factory {factory!r}",
        "Stopping factory {factory!r}",
        "Scheduling retry {attempt} to connect {endpoint} in {delay} seconds.",
    )
)


_log = Logger()


@implementer(ILogObserver)
@define(eq=False)
class NodeLog:
    """Writes events by the settings of ``[log]``.

    `on_line` writes the text of an event. `on_event` receives whole events instead of it, where the
    destination has its own format.
    """

    _clock: IReactorTime
    _on_line: Callable[[str], None]
    _on_event: Callable[[LogEvent], None] | None = None
    _levels: LogLevelFilterPredicate = field(init=False)
    _format: LogFormat = field(init=False)
    _access_log: bool = field(init=False)
    _repeats: RepeatFilter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._repeats = RepeatFilter(self._clock, self._write)
        self.configure(Log())

    def configure(self, settings: Log) -> None:
        """Use these settings from now on."""
        self._levels = make_level_filter(settings)
        self._format = FORMATS[settings.format]
        self._access_log = settings.access_log

    def __call__(self, event: LogEvent) -> None:
        """Write the event if its level is wanted."""
        if event.get("log_format") in _DETAILS:
            event = {**event, "log_level": LogLevel.debug}
        if self._levels(event) is PredicateResult.no:
            return
        if not self._access_log and event.get("log_namespace") == ACCESS_NAMESPACE:
            return
        copied = dict(event)
        add_log_fields(copied)
        self._repeats(copied)

    def stop(self) -> None:
        """Write the summaries that are due later, and leave no delayed call."""
        self._repeats.stop()

    def _write(self, event: LogEvent) -> None:
        if self._on_event is not None:
            escape_log_event(event)
            self._on_event(event)
        elif text := self._format(event):
            self._on_line(text)


def make_level_filter(settings: Log) -> LogLevelFilterPredicate:
    """Return what decides by namespace and level whether an event is written."""
    levels = LogLevelFilterPredicate(LogLevel.levelWithName(settings.level))
    for namespace, level in settings.levels_by_namespace.items():
        levels.setLogLevelForNamespace(namespace, LogLevel.levelWithName(level))
    return levels


@define(eq=False)
class LogOutput:
    """The log of a process. `observer` is the node's; None if twistd got another one (``--logger``).

    `reopen` opens the log file again, for tools that move it away. `write` writes lines to it; None: there is
    no file.
    """

    observer: NodeLog | None
    reopen: Callable[[], None] = field(default=lambda: None)
    write: Callable[[bytes], None] | None = None

    def configure(self, settings: Log) -> None:
        """Use these settings from now on."""
        if self.observer is not None:
            self.observer.configure(settings)

    def stop(self) -> None:
        """Leave no delayed call."""
        if self.observer is not None:
            self.observer.stop()


def open_log(clock: IReactorTime, twistd: Mapping[str, Any]) -> LogOutput:
    """Open the log that `twistd`, its options, ask for: ``--logfile``, ``--syslog``, or standard output.

    For ``--logger`` there is no observer: twistd makes it.
    """
    if twistd.get("logger"):
        return LogOutput(None)
    if twistd.get("syslog"):
        return LogOutput(NodeLog(clock, lambda _: None, _syslog(str(twistd.get("prefix") or ""))))
    name = twistd.get("logfile")
    if name == "-" or (not name and twistd.get("nodaemon", True)):
        return LogOutput(NodeLog(clock, _writer(sys.stdout)))
    # An absolute path, because twistd changes the folder later (--rundir), and the file is opened again.
    file = LogFile.fromFullPath(os.path.abspath(name or "twistd.log"))
    return LogOutput(NodeLog(clock, _writer(file)), partial(_reopen, file), partial(_write, file))


def _reopen(file: LogFile) -> None:
    """Open the file anew; while that is not possible, the open one stays."""
    try:
        with open(file.path, "ab"):
            pass
    except OSError as error:
        _log.error(
            "the log goes on in the old file: {path} cannot be opened: {reason}", path=file.path, reason=error
        )
    else:
        file.reopen()


def _write(file: LogFile, lines: bytes) -> None:
    file.write(lines)
    file.flush()


def _writer(file: Any) -> Callable[[str], None]:
    is_text = not isinstance(file, LogFile)

    def write(text: str) -> None:
        file.write(text if is_text else text.encode("utf-8", "backslashreplace"))
        file.flush()

    return write


def _syslog(prefix: str) -> Callable[[LogEvent], None]:
    from twisted.python.syslog import SyslogObserver  # not on every platform

    write = LegacyLogObserverWrapper(cast(Any, SyslogObserver(prefix).emit))

    def emit(event: LogEvent) -> None:
        event["syslogPriority"] = priority(event)
        event.setdefault("log_system", f"{event.get('log_namespace')}#{event['log_level'].name}")
        write(event)

    return emit
