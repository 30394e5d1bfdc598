from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.python.failure import Failure

from kazoo_bridge.cli.tail import MAX_EVENT_BYTES, EventReader, Printer, describe

EVENT = {"action": "event", "routing_key": "call.X.1", "data": {"call_id": "c1", "account_id": "a", "b": 1}}


def test_server_sent_events() -> None:
    read: list[bytes] = []
    reader = EventReader(read.append)
    for part in (b"id: 1\nda", b"ta: {}\n\n: comment\n\ndata:1\r\ndata: 2\r\n\r\ndata: rest"):
        reader.feed(part)
    assert read == [b"{}", b"1\n2"]
    with pytest.raises(ValueError, match="more than"):
        reader.feed(b"x" * MAX_EVENT_BYTES)


def test_events_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    text = json.dumps(EVENT).encode()
    printer = Printer(False, 2, lambda: 0.0)
    printer.print_message(b'{"action": "notice"}')
    printer.print_message(text)
    assert not printer.done.called
    printer.print_message(text)
    assert printer.done.called
    printer.print_message(text)
    printer.fail(Failure(ValueError()))
    line = "1970-01-01T00:00:00+00:00  call.X.1  account_id=a  call_id=c1"
    assert capsys.readouterr().out.splitlines() == [line, line]
    Printer(True, 0, lambda: 0.0).print(text)
    assert json.loads(capsys.readouterr().out) == EVENT


def test_a_stream_that_ends() -> None:
    printer = Printer(False, 0, lambda: 0.0)
    assert not printer.follow(None)
    printer.fail(Failure(ValueError("ended")))
    failures: list[Any] = []
    printer.done.addErrback(failures.append)
    assert failures[0].getErrorMessage() == "ended"


def test_an_event_without_data() -> None:
    assert describe({"routing_key": "x"}, 0.0) == "1970-01-01T00:00:00+00:00  x"
