"""Formats of log lines: plain text like twistd's, JSON, and lines with priorities for systemd's journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from string import Formatter
from typing import Any

import orjson
from twisted.logger import LogEvent, LogLevel, eventAsText, formatEvent
from twisted.python.reflect import safe_str

from kazoo_bridge.log_escaping import escape_for_log, escape_log_event

#: Returns the text of an event with its line break, None for an event without text. May change the event.
LogFormat = Callable[[LogEvent], str | None]

#: The priorities of syslog(3) and sd-daemon(3).
PRIORITIES: Mapping[Any, int] = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}

_FAILURES = ("log_failure", "failure")


def priority(event: LogEvent) -> int:
    """Return the syslog priority of the event's level."""
    return PRIORITIES.get(event.get("log_level"), 6)


def format_text(event: LogEvent) -> str | None:
    """Return twistd's own format: time, namespace, level, text, and a traceback in further lines."""
    escape_log_event(event)
    text = eventAsText(event)
    return text.replace("\n", "\n\t") + "\n" if text else None


def format_journal(event: LogEvent) -> str | None:
    """Return lines with the prefix ``<priority>``; the journal has its own time. See sd-daemon(3)."""
    escape_log_event(event)
    text = eventAsText(event, includeTimestamp=False)
    if not text:
        return None
    prefix = f"<{priority(event)}>"
    return "".join(f"{prefix}{line}\n" for line in text.split("\n"))


def format_json(event: LogEvent) -> str | None:
    """Return one JSON object: ``time``, ``level``, ``namespace``, ``message``, and the message's fields.

    The fields are those that the text of the message shows, such as ``hook_id``, and no others. A traceback
    is in ``traceback``.
    """
    message = formatEvent(event)
    failure = next((event[key] for key in _FAILURES if event.get(key) is not None), None)
    if not message and failure is None:
        return None
    level = event.get("log_level", LogLevel.info)
    line = {
        "time": datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(timespec="milliseconds"),
        "level": getattr(level, "name", str(level)),
        "namespace": str(event.get("log_namespace") or event.get("log_system") or "-"),
        "message": message,
    }
    line = {**line, **_fields(event), **line}
    if failure is not None:
        line["traceback"] = failure.getTraceback()
    # What JSON leaves as it is, such as marks that turn the direction of writing: \\uXXXX is JSON, too.
    return escape_for_log(orjson.dumps({name: _plain(value) for name, value in line.items()}).decode()) + "\n"


FORMATS: Mapping[str, LogFormat] = {"text": format_text, "json": format_json, "journal": format_journal}


def _fields(event: LogEvent) -> dict[str, Any]:
    template = event.get("log_format")
    if not isinstance(template, str):
        return {}
    names = (name for name in _names(template) if name in event)
    return {name: event[name] for name in names}


@lru_cache(maxsize=1024)
def _names(template: str) -> tuple[str, ...]:
    """Return the plain names in a format string: those with attributes or calls are only in the text."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError:
        return ()
    return tuple(name for _, name, _, _ in parsed if name and name.isidentifier() and name != "log_text")


def _plain(value: object) -> object:
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    # A lone surrogate is in no UTF-8.
    return safe_str(value).encode("utf-8", "backslashreplace").decode()
