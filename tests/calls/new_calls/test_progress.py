from __future__ import annotations

from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.calls.new_calls.progress import NewCallProgress
from kazoo_bridge.interfaces import NewCall
from kazoo_bridge.kazoo import Event

_results = SynchronousTestCase()
CALL = NewCall("k1", "originate", "a" * 32, "c1", ("c1", "c2"))


def reply(name: str, category: str = "resource", **body: Any) -> Event:
    content = {"Event-Category": category, "Event-Name": name}
    return Event(
        "targeted", "q", content | {key.replace("_", "-"): value for key, value in body.items()}, b""
    )


def after(*replies: Event, call: NewCall = CALL) -> NewCall:
    progress = NewCallProgress(call)
    progress.on_replies(replies)
    return progress.call


RINGING = reply("originate_uuid", Outbound_Call_ID="c1")
ANSWERED = reply("originate_resp", Application_Response="SUCCESS", Call_ID="c2")
BUSY = reply("originate_resp", "error", Error_Message="USER_BUSY")


def test_nothing_is_reported_at_first() -> None:
    assert CALL.status == "initiated"
    assert not CALL.is_final
    assert CALL.document() == {
        "command_id": "k1",
        "command": "originate",
        "account_id": "a" * 32,
        "call_id": "c1",
        "call_ids": ["c1", "c2"],
        "status": "initiated",
    }


@pytest.mark.parametrize("first", [RINGING, reply("originate_started", Call_ID="c1")])
def test_ringing_then_answered_by_one_of_the_telephones(first: Event) -> None:
    assert after(first).status == "ringing"
    call = after(first, ANSWERED)
    assert (call.status, call.call_id, call.is_final) == ("answered", "c2", True)


def test_a_refusal_has_the_switchs_reason() -> None:
    call = after(RINGING, BUSY)
    assert (call.status, call.reason, call.call_id) == ("failed", "USER_BUSY", "c1")
    assert after(reply("originate_resp", "error")).reason == "refused"
    assert after(reply("originate_resp", "error", Error_Message="x" * 500)).reason != "x" * 500


def test_a_hangup_before_the_answer() -> None:
    assert after(reply("originate_resp", Call_ID="c1", Hangup_Cause="NO_ANSWER")).reason == "NO_ANSWER"
    assert after(reply("originate_resp", Call_ID="c1", Hangup_Cause="NORMAL_CLEARING")).status == "answered"


def test_the_final_state_stays() -> None:
    assert after(BUSY, ANSWERED).status == "failed"


@pytest.mark.parametrize(
    "odd", [reply("something"), reply("originate_resp", Call_ID=7, Application_Response=[])]
)
def test_odd_replies_break_nothing(odd: Event) -> None:
    assert after(odd).call_id == "c1"


def test_listening_in_is_started_or_refused() -> None:
    call = NewCall("k1", "eavesdrop", "a" * 32)
    started = after(reply("eavesdrop_resp", Status="started", Eavesdropper_Call_ID="e1"), call=call)
    assert (started.status, started.call_id, started.call_ids) == ("started", "e1", ("e1",))
    refused = after(reply("eavesdrop_resp", Status="error", Error_Msg="timeout"), call=call)
    assert (refused.status, refused.reason) == ("failed", "timeout")


def test_each_later_state_is_passed_on_once() -> None:
    outcomes: list[NewCall] = []
    progress = NewCallProgress(CALL, outcomes.append)
    assert not progress.on_replies([RINGING])
    _results.successResultOf(progress.first_report)
    assert progress.notify().status == "ringing"
    assert not progress.on_replies([RINGING, RINGING])
    assert progress.on_replies([RINGING, RINGING, ANSWERED])
    progress.expire()
    progress.fail("too late")
    assert [call.status for call in outcomes] == ["answered"]


def test_silence_and_a_lost_bus_are_outcomes() -> None:
    for end in (NewCallProgress.expire, lambda progress: progress.fail("the connection was lost")):
        outcomes: list[NewCall] = []
        progress = NewCallProgress(CALL, outcomes.append)
        progress.stop_waiting()
        progress.notify()
        end(progress)
        assert [call.status for call in outcomes] == ["unknown"]
        assert outcomes[0].reason


def test_a_receiver_that_fails_ends_nothing() -> None:
    def fail(_: NewCall) -> None:
        raise ZeroDivisionError

    progress = NewCallProgress(CALL, fail)
    progress.notify()
    assert progress.on_replies([ANSWERED])
    assert progress.call.status == "answered"
