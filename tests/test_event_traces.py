from __future__ import annotations

from twisted.internet.task import Clock

from kazoo_bridge.event_traces import MAX_ID_LENGTH, EventTrace, EventTraces
from kazoo_bridge.kazoo import Event


def event(**body: object) -> Event:
    return Event("callevt", "call.X.1", {name.replace("_", "-"): value for name, value in body.items()}, b"")


def test_events_are_found_by_each_of_their_ids() -> None:
    clock = Clock()
    clock.advance(7)
    traces = EventTraces(clock.seconds, 10)
    traces.add(event(Msg_ID="m1", Call_ID="c1"), "msg_1", ("first",))
    traces.add(event(Msg_ID="m2", Call_ID="c1"), "", ())
    first = EventTrace(7.0, "callevt", "call.X.1", "m1", "c1", "msg_1", ("first",))
    assert traces.find(["m1"], 9) == traces.find(["msg_1"], 9) == [first]
    assert [one.message_id for one in traces.find(["c1"], 9)] == ["m1", "m2"]
    assert [one.message_id for one in traces.find(["c1"], 1)] == ["m2"]
    assert traces.find(["", "other"], 9) == []
    assert (len(traces), traces.oldest) == (2, 7.0)


def test_only_the_newest_events_are_kept() -> None:
    traces = EventTraces(Clock().seconds, 2)
    for number in range(3):
        traces.add(event(Msg_ID=f"m{number}"), "", ())
    assert [len(traces.find([f"m{number}"], 9)) for number in range(3)] == [0, 1, 1]


def test_nothing_is_kept_by_default() -> None:
    traces = EventTraces()
    traces.add(event(Msg_ID="m"), "", ())
    assert (traces.enabled, len(traces), traces.oldest) == (False, 0, None)
    assert EventTraces(Clock().seconds, 1).enabled


def test_ids_of_wrong_types_and_lengths_are_not_kept() -> None:
    traces = EventTraces(Clock().seconds, 9)
    long = "x" * MAX_ID_LENGTH
    traces.add(event(Msg_ID={"a": 1}, Call_ID=long + "x"), "msg_1", ())
    traces.add(event(Msg_ID=7, Call_ID=long), "msg_2", ())
    assert [(one.message_id, one.call_id) for one in traces.find(["msg_1", "msg_2"], 9)] == [
        ("", ""),
        ("", long),
    ]
