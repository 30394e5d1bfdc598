"""Escapes control characters in log events: those of routing keys, names, peers and plugins.

Without it a message of the bus could forge a line of the log, or control the terminal that shows it.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str
from zope.interface import provider

#: Control characters (C0, C1), line and paragraph separators, marks that turn the direction of writing, and
#: lone surrogates, which no log file can hold.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: The same without the characters that lay out a traceback.
_UNSAFE_IN_TRACEBACK = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_for_log(text: str) -> str:
    """Return `text` in one line: unsafe characters are written as ``\\uXXXX``."""
    return _UNSAFE.sub(_escaped, text)


@provider(ILogObserver)
def escape_log_event(event: LogEvent) -> None:
    """Escape the text and the traceback of an event, in place, for the observers that come after this one.

    Add it to the log publisher before the observers that write. An event without unsafe characters, nearly
    every one, is not changed.
    """
    text = formatEvent(event)
    # Events of `twisted.python.log.err` have their traceback in the text, and in the second of these keys.
    failure = event.get("failure") if event.get("isError") and "log_text" in event else None
    for key in ("log_failure", "failure"):
        _escape_failure(event, key)
    if isinstance(why := event.get("why"), str):
        event["why"] = escape_for_log(why)
    escaped = _escape_traceback(text, failure) if isinstance(failure, Failure) else escape_for_log(text)
    if escaped != text:
        event["log_format"], event["log_text"] = "{log_text}", escaped
        if event.get("message"):  # what an observer of `twisted.python.log` writes
            event["message"] = (escaped,)
    if isinstance(system := event.get("log_system"), str):
        event["log_system"] = escape_for_log(system)


def _escape_failure(event: LogEvent, key: str) -> None:
    failure = event.get(key)
    if isinstance(failure, Failure):
        traceback = failure.getTraceback()
        escaped = _escape_traceback(traceback, failure)
        if escaped != traceback:
            event[key] = _EscapedFailure(failure, escaped)


def _escape_traceback(text: str, failure: Failure) -> str:
    """Return a traceback with its line breaks, but without those of the exception's own text."""
    message = safe_str(failure.value)
    before, found, after = text.rpartition(message) if message else (text, "", "")
    return _UNSAFE_IN_TRACEBACK.sub(_escaped, before + escape_for_log(found) + after)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


class _EscapedFailure(Failure):
    """A failure with an escaped traceback."""

    def __init__(self, failure: Failure, traceback: str) -> None:
        self.__dict__.update(failure.__dict__)
        self._escaped_traceback = traceback

    def getTraceback(self, *_args: Any, **_options: Any) -> str:
        """Return the escaped traceback."""
        return self._escaped_traceback

    def getErrorMessage(self) -> str:
        """Return the escaped text of the exception."""
        return escape_for_log(super().getErrorMessage())
