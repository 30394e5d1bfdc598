from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import AnswerRefused, PivotAnswer, UnknownPivotRequest
from kazoo_bridge.pivot.call_parameters import CallParameters
from kazoo_bridge.pivot.question import ANSWERED, NO_CLIENT, TIMEOUT, ClientAddress, PivotOutcome, Question
from tests.pivot.test_point import make_point

FLOW = {"module": "hangup"}
SOURCE = ClientAddress("n", "c")


def make_question(clock: Clock, wants_twiml: bool = False, **document: Any) -> Question:
    call = CallParameters({"Call-ID": "c1", "Event-Name": "x", "Pivot-ID": "y"}, wants_twiml)
    return Question(clock, "n-1", make_point(**document), call)


def ended(question: Question) -> list[PivotOutcome]:
    outcomes: list[PivotOutcome] = []
    question.done.addCallback(outcomes.append)
    return outcomes


def test_its_event_has_the_call_and_the_time_that_remains() -> None:
    clock = Clock()
    question = make_question(clock)
    clock.advance(1)
    event = question.to_event()
    assert {key: event[key] for key in ("Call-ID", "Pivot-ID", "Pivot-Name", "Answer-Within-MS")} == {
        "Call-ID": "c1",
        "Pivot-ID": "n-1",
        "Pivot-Name": "front-desk",
        "Answer-Within-MS": 2000,
    }
    # What KAZOO sends does not override the envelope.
    assert (event["Event-Category"], event["Event-Name"]) == ("pivot", "pivot_request")


def test_the_first_good_answer_counts() -> None:
    clock = Clock()
    question = make_question(clock)
    outcomes = ended(question)
    for bad in (PivotAnswer(), PivotAnswer({"module": "x"}), PivotAnswer(FLOW, "<Response/>")):
        with pytest.raises(AnswerRefused):
            question.answer(bad, SOURCE)
    good = PivotAnswer(FLOW)
    question.answer(good, SOURCE)
    assert outcomes == [PivotOutcome(ANSWERED, good, SOURCE)]
    with pytest.raises(UnknownPivotRequest):
        question.answer(good, SOURCE)
    question.give_up(NO_CLIENT)
    assert clock.getDelayedCalls() == []


def test_it_ends_with_its_time() -> None:
    clock = Clock()
    question = make_question(clock, timeout_ms=500)
    outcomes = ended(question)
    clock.advance(0.499)
    assert outcomes == []
    clock.advance(0.001)
    assert outcomes == [PivotOutcome(TIMEOUT)]
    assert question.remaining == 0


def test_twiml_only_where_kazoo_has_asked_for_it() -> None:
    with pytest.raises(AnswerRefused, match="KAZOO has not asked"):
        make_question(Clock()).answer(PivotAnswer(twiml="<Response/>"), SOURCE)
    question = make_question(Clock(), wants_twiml=True)
    with pytest.raises(AnswerRefused):
        question.answer(PivotAnswer(twiml="<x/>"), SOURCE)
    question.answer(PivotAnswer(twiml="<Response/>"), SOURCE)
