from __future__ import annotations

import json
from typing import Any, cast

import pytest
from twisted.logger import LogEvent, Logger, LogLevel

from kazoo_bridge.node.log.formats import format_journal, format_json, format_text


def make_event(template: str, level: str = "info", **values: object) -> LogEvent:
    events: list[LogEvent] = []
    Logger("kazoo_bridge.x", observer=cast(Any, events.append)).emit(
        LogLevel.levelWithName(level), template, **values
    )
    return {**events[0], "log_time": 86400.25}


def make_failure() -> LogEvent:
    events: list[LogEvent] = []
    try:
        raise ValueError("odd\nsecond line")
    except ValueError:
        Logger("kazoo_bridge.x", observer=cast(Any, events.append)).failure(
            "failed hook_id={hook_id}", hook_id="h1"
        )
    return events[0]


def test_text_is_that_of_twistd() -> None:
    line = format_text(make_event("hook disabled hook_id={hook_id}", "warn", hook_id="h1"))
    assert line is not None
    assert line.endswith(" [kazoo_bridge.x#warn] hook disabled hook_id=h1\n")


def test_json_has_the_fields_that_the_text_shows_and_no_others() -> None:
    line = format_json(
        make_event("hook hook_id={hook_id} count={count}", hook_id="h1", count=2, secret="s3cret")
    )
    assert line is not None
    assert json.loads(line) == {
        "time": "1970-01-02T00:00:00.250+00:00",
        "level": "info",
        "namespace": "kazoo_bridge.x",
        "message": "hook hook_id=h1 count=2",
        "hook_id": "h1",
        "count": 2,
    }


def test_json_of_a_failure_is_one_line_with_the_traceback() -> None:
    line = format_json(make_failure())
    assert line is not None
    assert line.count("\n") == 1
    parsed = json.loads(line)
    assert (parsed["level"], parsed["message"], parsed["hook_id"]) == ("critical", "failed hook_id=h1", "h1")
    assert "ValueError: odd\nsecond line" in parsed["traceback"]


@pytest.mark.parametrize("text", ["\x1b[31m", "\n", "\x9b", "\u202e", "\ud800", '"', "\\"])
def test_json_of_any_text_is_one_line_without_control_characters(text: str) -> None:
    line = format_json(make_event("path={path}", path=text))
    assert line is not None
    assert all(" " <= sign < "\x7f" for sign in line[:-1])
    shown = json.loads(line)["path"]
    assert shown == text or text == "\ud800"


@pytest.mark.parametrize(
    ("level", "prefix"),
    [("debug", "<7>"), ("info", "<6>"), ("warn", "<4>"), ("error", "<3>"), ("critical", "<2>")],
)
def test_lines_for_the_journal_have_a_priority_and_no_time(level: str, prefix: str) -> None:
    assert format_journal(make_event("said", level)) == f"{prefix}[kazoo_bridge.x#{level}] said\n"


def test_every_line_of_a_traceback_has_the_priority() -> None:
    text = format_journal(make_failure())
    assert text is not None
    lines = text.splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<2>") for line in lines)


@pytest.mark.parametrize("form", [format_text, format_json, format_journal])
def test_an_event_without_text_has_no_line(form: object) -> None:
    assert callable(form)
    assert form({"log_level": LogLevel.info}) is None
