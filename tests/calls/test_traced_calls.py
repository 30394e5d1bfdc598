from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from kazoo_bridge.calls.traced_calls import MAX_CALL_ID_LENGTH, TracedCallService
from kazoo_bridge.interfaces import ICalls, UnknownCall
from tests.calls.commands import MINIMAL_DATA
from tests.calls.harness import Harness, running_harness, start
from tests.calls.switch import ACCOUNT, channel
from tests.fake_spans import FakeSpanRecorder


@pytest.fixture
def spans() -> FakeSpanRecorder:
    return FakeSpanRecorder()


@pytest.fixture
def harness(spans: FakeSpanRecorder) -> Iterator[Harness]:
    """A harness whose service has spans, and a call."""
    with running_harness() as harness:
        harness.node.one = {"call-1": channel(Other_Leg_Call_ID="call-2")}
        harness.service = TracedCallService.from_service(harness.service, spans, harness.clock)
        yield harness


def ended(harness: Harness, work: Any) -> Any:
    """The result of `work`, or its Failure."""
    results: list[Any] = []
    start(work).addBoth(results.append)
    harness.settle()
    harness.clock.advance(2)
    harness.settle()
    return results[0]


def test_it_is_the_front_door_to_calls(harness: Harness) -> None:
    assert verifyObject(ICalls, harness.service)


def test_a_command_has_a_span_until_the_bus_has_its_message(
    harness: Harness, spans: FakeSpanRecorder
) -> None:
    answer = ended(harness, harness.service.command(ACCOUNT, "call-1", "hangup", MINIMAL_DATA["hangup"]))
    assert answer == "hangup initiated"
    (span,) = spans.spans
    assert (span.name, span.kind, span.parent_id, span.failure) == ("command hangup", "producer", 0, "")
    assert span.attributes == {
        "kazoo_bridge.account_id": ACCOUNT,
        "messaging.message.conversation_id": "call-1",
    }
    assert span.ended >= span.began


@pytest.mark.parametrize(
    ("command", "name", "failure"),
    [("hangup", "command hangup", "UnknownCall"), ("x" * 999, "command unknown", "UnknownCall")],
)
def test_a_refused_command_says_why(
    harness: Harness, spans: FakeSpanRecorder, command: str, name: str, failure: str
) -> None:
    result = ended(harness, harness.service.command(ACCOUNT, "c" * 5000, command, {}))
    assert isinstance(result, Failure)
    assert result.check(UnknownCall)
    (span,) = spans.spans
    assert (span.name, span.failure) == (name, failure)
    assert span.attributes["messaging.message.conversation_id"] == "c" * MAX_CALL_ID_LENGTH


def test_flows_and_new_calls_have_spans_too(harness: Harness, spans: FakeSpanRecorder) -> None:
    ended(harness, harness.service.flow(ACCOUNT, "call-1", {"module": "hangup", "data": {}}))
    ended(harness, harness.service.place(ACCOUNT, "originate", {}))
    ended(harness, harness.service.place(ACCOUNT, "odd", {}))
    assert [(span.name, span.failure) for span in spans.spans] == [
        ("command flow", ""),
        ("command originate", "CommandRefused"),
        ("command unknown", "UnknownCommand"),
    ]
    assert len({span.trace_id for span in spans.spans}) == 3


def test_a_command_that_is_not_sampled_is_carried_out(harness: Harness, spans: FakeSpanRecorder) -> None:
    spans.sampled = False
    assert ended(harness, harness.service.command(ACCOUNT, "call-1", "hangup", {})) == "hangup initiated"
    assert spans.spans == []
