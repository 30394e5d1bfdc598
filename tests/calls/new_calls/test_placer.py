from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from kazoo_bridge.calls.new_calls import placer
from kazoo_bridge.calls.new_calls.placer import OUTCOME_MARGIN
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Calls, Config
from kazoo_bridge.interfaces import (
    BusUnavailable,
    CommandForbidden,
    CommandRefused,
    IBus,
    NewCall,
    NoSwitch,
    Queue,
    TooManyNewCalls,
    Topic,
    UnknownCall,
)
from kazoo_bridge.kazoo import TARGETED, Event
from tests.calls.harness import Harness, running_harness, start
from tests.calls.new_calls.fakes import DirectoryWithQuickcall, SlowDirectory, make_directory
from tests.calls.switch import ACCOUNT, OTHER, channel

ORIGINATE = {"from_type": "user", "from_id": "u1", "to": "2003"}
EAVESDROP = {"call_id": "call-1", "from_type": "user", "from_id": "u1"}


@define
class NewCallHarness:
    """A service with people, and the part of KAZOO that makes calls, which replies when the test does."""

    base: Harness
    service: CallService
    requests: list[Event] = field(factory=list)
    outcomes: list[NewCall] = field(factory=list)

    def listen(self) -> None:
        """Bind the part of KAZOO that makes calls."""
        topics = frozenset({Topic("callmgr", "#")})
        self.base.bus.consume(Queue(topics=topics, acknowledge=False), self.requests.append)
        self.base.settle()

    def place(self, command: str, data: dict[str, Any], account_id: str = ACCOUNT) -> Deferred[NewCall]:
        placed = start(self.service.place(account_id, command, data, self.outcomes.append))
        self.base.settle()
        return placed

    def reply(self, name: str, category: str = "resource", **body: Any) -> None:
        """Reply to the latest request."""
        request = self.requests[-1].body
        message = {
            "Event-Category": category,
            "Event-Name": name,
            "Msg-ID": request["Msg-ID"],
            **{key.replace("_", "-"): value for key, value in body.items()},
        }
        self.base.bus.publish(TARGETED, request["Server-ID"], message)
        self.base.settle()

    def refusal(self, command: str, data: dict[str, Any], kind: type[BaseException]) -> Any:
        return self.base.failure_of(self.place(command, data), kind)


def make_harness(base: Harness, directory: Any = None, **settings: Any) -> NewCallHarness:
    config = evolve(Config(), calls=Calls(query_timeout_ms=500, **settings))
    service = CallService.from_config(
        base.clock, config, cast(IBus, base.bus), None, directory or make_directory()
    )
    return NewCallHarness(base, service)


@pytest.fixture
def base() -> Iterator[Harness]:
    with running_harness() as base:
        base.node.one = {"call-1": channel()}
        yield base


@pytest.fixture
def calls(base: Harness) -> NewCallHarness:
    harness = make_harness(base, allow_eavesdrop=True)
    harness.listen()
    return harness


def test_the_answer_comes_with_the_switchs_first_report(calls: NewCallHarness) -> None:
    placed = calls.place("originate", ORIGINATE)
    assert not placed.called
    (request,) = calls.requests
    ids = [endpoint["Outbound-Call-ID"] for endpoint in request.body["Endpoints"]]
    calls.reply("originate_uuid", Outbound_Call_ID=ids[0])
    call = calls.base.result_of(placed)
    assert (call.status, call.call_id, list(call.call_ids)) == ("ringing", ids[0], ids)
    assert (call.command, call.account_id) == ("originate", ACCOUNT)
    calls.reply("originate_resp", Application_Response="SUCCESS", Call_ID=ids[1])
    assert calls.outcomes == [evolve(call, status="answered", call_id=ids[1])]


def test_without_a_report_the_answer_comes_after_a_short_time(calls: NewCallHarness) -> None:
    placed = calls.place("originate", ORIGINATE)
    call = calls.base.result_of(placed, 0.5)
    assert call.status == "initiated"
    calls.reply("originate_resp", "error", Error_Message="NO_ANSWER")
    assert [(one.status, one.reason) for one in calls.outcomes] == [("failed", "NO_ANSWER")]


def test_the_outcome_is_bounded_in_time(calls: NewCallHarness) -> None:
    calls.base.result_of(calls.place("originate", {**ORIGINATE, "timeout_s": 5}), 0.5)
    calls.base.clock.advance(5 + OUTCOME_MARGIN - 1)
    assert calls.outcomes == []
    calls.base.clock.advance(1)
    assert [one.status for one in calls.outcomes] == ["unknown"]
    assert calls.base.clock.getDelayedCalls() == []


def test_the_bus_is_lost_before_and_after_the_answer(calls: NewCallHarness) -> None:
    calls.base.result_of(calls.place("originate", ORIGINATE), 0.5)
    waiting = calls.place("originate", ORIGINATE)
    with capturedLogs() as logs:
        calls.base.bus.stopService()
        calls.base.failure_of(waiting, BusUnavailable)
    (outcome,) = calls.outcomes
    # The broker's own words are for the operator.
    assert (outcome.status, outcome.reason) == ("unknown", "the switch cannot be asked any more")
    assert [str(log["reason"]) for log in logs if log.get("id") == outcome.command_id]
    calls.base.bus.startService()


def test_the_new_calls_whose_outcome_is_waited_for_are_bounded(
    base: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placer, "MAX_FOLLOWED", 2)
    directory = SlowDirectory()
    calls = make_harness(base, directory)
    calls.listen()
    waiting = [calls.place("originate", ORIGINATE) for _ in range(3)]
    assert calls.requests == []
    directory.answer()
    calls.base.settle()
    assert len(calls.requests) == 2
    assert "2 new calls are waited for" in str(calls.base.failure_of(waiting[2], BusUnavailable))
    assert "2 new calls are waited for" in str(calls.refusal("originate", ORIGINATE, BusUnavailable))


def test_nothing_takes_the_request(base: Harness) -> None:
    calls = make_harness(base)
    assert "executes originate" in str(calls.refusal("originate", ORIGINATE, NoSwitch))
    assert base.clock.getDelayedCalls() == []


def test_a_number_needs_no_people(base: Harness) -> None:
    calls = make_harness(base)
    calls.listen()
    placed = calls.place("originate", {"from_type": "number", "from_id": "+4930123456", "to": "2003"})
    (request,) = calls.requests
    assert request.body["Endpoints"][0]["Route"] == "+4930123456"
    calls.reply("originate_resp", Application_Response="SUCCESS")
    assert calls.base.result_of(placed).status == "answered"


def test_an_unknown_person_is_refused(calls: NewCallHarness) -> None:
    for data in ({**ORIGINATE, "from_id": "u2"}, {**ORIGINATE, "from_type": "device"}, {"to": "2003"}):
        calls.refusal("originate", data, CommandRefused)
    assert calls.base.failure_of(calls.place("originate", ORIGINATE, OTHER), CommandRefused)
    assert calls.requests == []


def test_crossbar_makes_the_call_where_the_telephones_are_not_known(base: Harness) -> None:
    directory = DirectoryWithQuickcall()
    calls = make_harness(base, directory)
    data = {**ORIGINATE, "caller_id_name": "Ada", "caller_id_number": "2001", "timeout_s": 20}
    call = base.result_of(calls.place("originate", data))
    assert (call.status, call.call_id) == ("initiated", "q1-quickcall")
    options = {"auto_answer": "false", "timeout": "20", "cid-name": "Ada", "cid-number": "2001"}
    assert directory.asked == [(ACCOUNT, "user", "u1", "2003", options)]
    directory.call_ids = ()
    assert base.result_of(calls.place("originate", ORIGINATE)).call_id is None
    directory.call_ids = None
    assert list(calls.refusal("originate", ORIGINATE, CommandRefused).errors) == ["from_id"]


def test_listening_in(calls: NewCallHarness) -> None:
    placed = calls.place("eavesdrop", {**EAVESDROP, "mode": "full"})
    (request,) = calls.requests
    assert request.routing_key == "eavesdrop.resource.req"
    assert (request.body["Endpoint-ID"], request.body["Eavesdrop-Mode"]) == ("d1", "full")
    calls.reply("eavesdrop_resp", Status="started", Eavesdropper_Call_ID="e1")
    call = calls.base.result_of(placed)
    assert (call.status, call.call_id, call.is_final) == ("started", "e1", True)
    assert calls.outcomes == []


def test_listening_in_is_started_soon_or_not_at_all(calls: NewCallHarness) -> None:
    calls.base.result_of(calls.place("eavesdrop", {**EAVESDROP, "timeout_s": 120}), 0.5)
    calls.base.clock.advance(OUTCOME_MARGIN)
    assert [one.status for one in calls.outcomes] == ["unknown"]


def test_listening_in_is_off_by_default(base: Harness) -> None:
    calls = make_harness(base)
    calls.listen()
    assert "calls.allow_eavesdrop" in str(calls.refusal("eavesdrop", EAVESDROP, CommandForbidden))
    assert (calls.requests, base.node.questions) == ([], [])


def test_call_and_device_must_belong_to_the_account(calls: NewCallHarness) -> None:
    calls.base.node.one["foreign"] = channel("foreign", OTHER)
    for call_id in ("foreign", "*"):
        placed = calls.place("eavesdrop", {**EAVESDROP, "call_id": call_id})
        assert str(calls.base.failure_of(placed, UnknownCall, 0.5)) == call_id
    calls.refusal("eavesdrop", {**EAVESDROP, "from_id": "u2"}, CommandRefused)
    assert calls.requests == []


def test_kazoo_looks_for_a_device_that_the_directory_does_not_know(base: Harness) -> None:
    calls = make_harness(base, DirectoryWithQuickcall(), allow_eavesdrop=True)
    calls.listen()
    placed = calls.place("eavesdrop", {"call_id": "call-1", "from_type": "device", "from_id": "d7"})
    assert calls.requests[0].body["Endpoint-ID"] == "d7"
    calls.reply("eavesdrop_resp", Status="error", Error_Msg="not_found")
    assert base.result_of(placed).reason == "not_found"
    assert "from_type device" in str(calls.refusal("eavesdrop", EAVESDROP, CommandRefused))


def test_new_calls_of_an_account_are_limited(base: Harness) -> None:
    calls = make_harness(base, new_calls_per_minute=2)
    calls.listen()
    for _ in range(2):
        calls.place("originate", ORIGINATE)
    assert calls.refusal("originate", ORIGINATE, TooManyNewCalls).seconds == 30
    calls.refusal("originate", {}, CommandRefused)  # costs nothing
    base.clock.advance(30)
    calls.place("originate", ORIGINATE)
    assert len(calls.requests) == 3
    base.clock.advance(60)
    base.settle()
