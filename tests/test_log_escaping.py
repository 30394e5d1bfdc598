"""No source of text can write a line of its own into the log, or control a terminal."""

from __future__ import annotations

import io
import logging
import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LegacyLogObserverWrapper, LogBeginner, Logger, LogPublisher, textFileLogObserver
from twisted.python import log as legacy_log
from twisted.python.failure import Failure

from kazoo_bridge.log_escaping import escape_for_log, escape_log_event

HOSTILE = "a\r\n2026-11-26 FORGED\x1b]0;x\x07\x00\x85\x9b\u2028\u2029\u202e\ud800z"
ESCAPED = (
    "a\\u000d\\u000a2026-11-26 FORGED\\u001b]0;x\\u0007\\u0000\\u0085\\u009b\\u2028\\u2029\\u202e\\ud800z"
)


class Harness:
    """A log as twistd makes it, with the escaping in front of the observer that writes."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.publisher = LogPublisher(escape_log_event, textFileLogObserver(self.out))
        self.log = Logger(observer=self.publisher)

    def lines(self) -> list[str]:
        """What was written, checked to hold nothing that a terminal or a file would obey."""
        text = self.out.getvalue()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\ud800-\udfff]", text)
        text.encode()
        return text.splitlines()


def test_fields_of_an_event_stay_in_its_line() -> None:
    harness = Harness()
    harness.log.warn("dropped {key} because {reason}", key=HOSTILE, reason=ValueError(HOSTILE))
    [line] = harness.lines()
    assert line.endswith(f"dropped {ESCAPED} because {ESCAPED}")


def test_an_event_without_control_characters_is_not_changed() -> None:
    event: dict[str, Any] = {"log_format": "{name} {seconds:.1f}", "name": "Jörg {x}", "seconds": 1.25}
    before = dict(event)
    escape_log_event(event)
    assert event == before


def test_braces_of_an_escaped_field_are_no_format() -> None:
    harness = Harness()
    harness.log.info("{key}", key="{secret}\n", secret="s3cret")
    assert harness.lines()[0].endswith(" {secret}\\u000a")


def test_a_traceback_keeps_its_lines_and_the_text_of_its_exception_one() -> None:
    harness = Harness()
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        harness.log.failure("plugin {name} failed", name=HOSTILE)
    lines = harness.lines()
    assert lines[0].endswith(f"plugin {ESCAPED} failed")
    assert lines[1] == "\tTraceback (most recent call last):"
    assert lines[-1].strip() in ("", f"builtins.ValueError: {ESCAPED}")
    assert f"\tbuiltins.ValueError: {ESCAPED}" in lines
    assert all(line.startswith("\t") for line in lines[1:])


def test_the_original_failure_is_not_changed() -> None:
    failure = Failure(ValueError(HOSTILE))
    event: dict[str, Any] = {"log_format": "x", "log_failure": failure}
    escape_log_event(event)
    assert event["log_failure"] is not failure
    assert event["log_failure"].check(ValueError)
    assert event["log_failure"].value is failure.value
    assert HOSTILE in failure.getTraceback()


@pytest.mark.parametrize("is_error", [False, True])
def test_events_of_the_legacy_log_are_escaped_for_both_kinds_of_observers(is_error: bool) -> None:
    harness = Harness()
    legacy_texts: list[str | None] = []
    harness.publisher.addObserver(
        LegacyLogObserverWrapper(
            cast(Any, lambda event: legacy_texts.append(legacy_log.textFromEventDict(event)))
        )
    )
    publisher = legacy_log.LogPublisher(harness.publisher, harness.publisher)
    if is_error:
        publisher.msg(failure=Failure(ValueError(HOSTILE)), why=HOSTILE, isError=1, logLevel=logging.ERROR)
    else:
        publisher.msg(HOSTILE)
    text = "\n".join(harness.lines())
    assert ESCAPED in text
    assert "\n2026" not in text
    [legacy_text] = legacy_texts
    assert legacy_text is not None
    assert ESCAPED in legacy_text
    assert "\x1b" not in legacy_text


@given(st.text(), st.text())
def test_any_text_becomes_one_line(text: str, message: str) -> None:
    assert len(escape_for_log(text).splitlines()) <= 1
    harness = Harness()
    harness.log.info("{text} {error}", text=text, error=ValueError(message))
    assert len(harness.lines()) == 1


def test_it_works_before_the_log_begins() -> None:
    """What is logged before twistd opens its file is written to it later, escaped."""
    publisher, out = LogPublisher(), io.StringIO()
    beginner = LogBeginner(publisher, io.BytesIO(), _NoSys(), _NoWarnings())
    publisher.addObserver(escape_log_event)
    Logger(observer=publisher).info("{key}", key=HOSTILE)
    beginner.beginLoggingTo([textFileLogObserver(out)], redirectStandardIO=False)
    Logger(observer=publisher).info("{key}", key=HOSTILE)
    assert out.getvalue().count(ESCAPED) == 2


class _NoSys:
    stdout = stderr = io.StringIO()


class _NoWarnings:
    @staticmethod
    def showwarning(*_args: Any) -> None:
        """Show nothing."""
