from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, Logger, formatEvent

from kazoo_bridge.log_context import add_log_fields, log_fields


def logged(template: str, **values: object) -> str:
    events: list[LogEvent] = []
    Logger(observer=cast(Any, events.append)).info(template, **values)
    add_log_fields(events[0])
    return formatEvent(events[0])


def test_lines_of_a_block_have_its_fields() -> None:
    with log_fields(request_id="r1"):
        assert logged("stored {count}", count=2) == "stored 2 request_id=r1"
        with log_fields(account_id="a"):
            assert logged("stored") == "stored request_id=r1 account_id=a"
    assert logged("stored") == "stored"


def test_a_field_that_the_line_has_itself_is_not_repeated() -> None:
    with log_fields(request_id="r1"):
        assert logged("failed request_id={request_id}", request_id="r2") == "failed request_id=r2"


def test_a_coroutine_keeps_the_fields_across_its_waits_and_others_do_not_get_them() -> None:
    waits: dict[str, Deferred[None]] = {name: Deferred() for name in ("one", "two")}
    lines = []

    async def work(name: str) -> None:
        await waits[name]
        lines.append(logged(name))

    for name in waits:
        with log_fields(request_id=f"of {name}"):
            Deferred.fromCoroutine(work(name))
    for name in reversed(waits):
        waits[name].callback(None)
    assert lines == ["two request_id=of two", "one request_id=of one"]


def test_a_line_without_a_template_stays() -> None:
    event: LogEvent = {"log_text": "plain"}
    with log_fields(request_id="r1"):
        add_log_fields(event)
    assert event == {"log_text": "plain"}
