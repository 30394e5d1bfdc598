from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.storage.tables import dump_json
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptFormat, AttemptInfo, cut_text
from kazoo_bridge.webhooks.delivery.dispatcher import make_delivery
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.hook_factory import make_hook

#: Any text, surrogates that stand alone included.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


def document(
    outcome: Outcome, *, body_limit: int = 100, head_limit: int = 300, **hook: Any
) -> dict[str, Any]:
    made = make_hook(**hook)
    request = build_request(made, {"call_id": "ž" * 200}, "")
    return AttemptFormat(body_limit, head_limit).document(made, request, outcome, AttemptInfo("e", 2, 1))


def stored_size(text: str) -> int:
    return len(json.dumps(text)) - 2


@given(ANY_TEXT, st.integers(0, 80))
def test_a_text_is_cut_at_the_size_of_its_json(text: str, limit: int) -> None:
    kept = cut_text(text, limit)
    assert text.startswith(kept)
    assert stored_size(kept) <= limit
    if kept != text:
        assert stored_size(text[: len(kept) + 1]) > limit


def test_bodies_are_cut_at_their_stored_size_and_named() -> None:
    made = document(Outcome(False, 500, body=b"\xff" * 28_000))
    assert made["resp_body"] == "\ufffd" * (100 // 6)
    assert stored_size(made["req_body"]) == 100
    assert made["truncated"] == ["req_body", "resp_body"]


def test_what_is_not_cut_is_not_named() -> None:
    made = document(Outcome(False, 500, body=b"x" * 100), http_verb="get", head_limit=2000)
    assert made["resp_body"] == "x" * 100
    assert "truncated" not in made


def test_nothing_is_kept_of_bodies_without_a_limit() -> None:
    made = document(Outcome(False, 500, body=b"x"), body_limit=0)
    assert (made["req_body"], made["resp_body"], made["truncated"]) == ("", "", ["req_body", "resp_body"])


def test_headers_are_kept_as_far_as_they_fit() -> None:
    headers = {"First": "1", "Second": "\xff" * 100, "Third": "3"}
    made = document(Outcome(False, 500, headers=headers))
    assert list(made["resp_headers"]) == ["first", "second"]
    assert made["resp_headers"]["first"] == "1"
    assert 0 < len(made["resp_headers"]["second"]) < 50
    assert "resp_headers" in made["truncated"]


@pytest.mark.parametrize("count", [1, 300])
def test_no_attempt_is_larger_than_its_limits(count: int) -> None:
    hostile = "\x7f\xff\ud800"[:3] * (28_000 // count)
    made = document(
        Outcome(
            False, 500, hostile, {f"X-{number}\u0101": hostile for number in range(count)}, b"\xff" * 65_536
        ),
        uri="http://receiver.example/?" + "x" * 2000,
        http_verb="get",
        custom_data={f"k{number}": '"' * 4000 for number in range(7)},
    )
    assert set(made["truncated"]) == {
        "uri",
        "url",
        "resp_body",
        "client_error",
        "resp_headers",
        "custom_data",
    }
    assert all(
        len(dump_json({"": made[name]})) <= 300 + 10 for name in made["truncated"] if name != "resp_body"
    )
    assert len(dump_json(made)) < 100 + 6 * 300 + 600


def test_what_an_inline_hook_brings_stays_what_it_is() -> None:
    hook = evolve(make_hook(), custom_data={"number": 5, "nested": {"a": [1]}, "text": "x" * 100})
    attempt_format = AttemptFormat(100, 60)
    made = attempt_format.document(
        hook, build_request(hook, {}, ""), Outcome(True, 200), AttemptInfo("e", 2, 1)
    )
    assert made["custom_data"] == {"number": 5, "nested": {"a": [1]}, "text": "x" * 16}


def test_the_document_says_what_the_attempt_was_about_and_which_one_it_was() -> None:
    hook = make_hook()
    occurrence = Occurrence("channel_create", hook.account_id, {"call_id": "c" * 1000})
    delivery = make_delivery(hook, occurrence, "e", 1.0)
    info = AttemptInfo("e", 2, 0, delivery=delivery, number=4, max_attempts=7, seconds=0.0126)
    made = AttemptFormat(100, 300).document(hook, build_request(hook, {}, ""), Outcome(True, 200), info)
    assert (made["event"], made["call_id"]) == ("channel_create", "c" * 255)
    assert (made["attempt"], made["max_attempts"], made["duration_ms"]) == (4, 7, 13)


def test_an_attempt_without_a_delivery_has_no_number() -> None:
    made = document(Outcome(False, 500))
    assert {"event", "call_id", "attempt", "max_attempts", "duration_ms"}.isdisjoint(made)
