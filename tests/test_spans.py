from __future__ import annotations

import re

import pytest

from kazoo_bridge.kazoo import Event
from kazoo_bridge.spans import derived_span_id, event_span_id, trace_id_of, traceparent
from kazoo_bridge.webhooks.event_handler import event_id, numbered_id

DIGITS = "0123456789abcdef" * 2


def test_a_trace_has_the_digits_of_its_event() -> None:
    own_id = event_id(Event("callevt", "call.x", {}, b"{}"))
    assert f"msg_{trace_id_of(own_id):032x}" == own_id
    assert trace_id_of(numbered_id(own_id, 3)) == trace_id_of(own_id)


@pytest.mark.parametrize(
    "other", ["", "msg_", "msg_" + "x" * 32, f"msg_{DIGITS[:30]}_1", "sample", "msg_\udcff"]
)
def test_an_id_of_another_form_has_a_trace_too(other: str) -> None:
    assert 0 < trace_id_of(other) < 1 << 128
    assert trace_id_of(other) == trace_id_of(other)


def test_no_id_is_zero_which_means_none() -> None:
    assert trace_id_of("msg_" + "0" * 32) == 1
    assert event_span_id(1) == 1


def test_the_event_is_the_parent_whichever_node_asks() -> None:
    assert event_span_id(trace_id_of(f"msg_{DIGITS}")) == int(DIGITS[:16], 16)


def test_spans_of_a_trace_differ() -> None:
    assert len({derived_span_id("a", "b"), derived_span_id("ab", ""), derived_span_id("a", "c")}) == 3


@pytest.mark.parametrize(("sampled", "flags"), [(True, "01"), (False, "00")])
def test_the_header_has_the_form_of_the_specification(sampled: bool, flags: str) -> None:
    value = traceparent(5, 7, sampled=sampled)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-" + flags, value)
    assert [int(part, 16) for part in value.split("-")[1:3]] == [5, 7]
