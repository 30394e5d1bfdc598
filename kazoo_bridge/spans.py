"""Spans of events, delivery attempts and commands, and their ids of W3C Trace Context.

The ids follow from those of events and deliveries. So all attempts at an event's deliveries are in one trace,
whichever node makes them and however much later, although nothing but the event's id is stored; and the trace
of an event is found by its id: ``msg_`` and the id of the trace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal, Protocol

from attrs import frozen

SpanKind = Literal["consumer", "client", "producer"]


@frozen
class Span:
    """A piece of work that has ended.

    `parent_id` is 0 for the first span of a trace. `began` and `ended` are in Unix seconds. `failure` says
    why the work failed, in one word of a bounded set; it is empty if it did not.
    """

    trace_id: int
    span_id: int
    parent_id: int
    name: str
    kind: SpanKind
    began: float
    ended: float
    attributes: Mapping[str, str | int | bool]
    failure: str = ""


class SpanRecorder(Protocol):
    """Takes spans for export. Neither method waits for anything."""

    def is_sampled(self, trace_id: int) -> bool:
        """Return whether the spans of this trace are exported: the same on all nodes."""

    def record(self, span: Span) -> None:
        """Export a span of a sampled trace later, or drop it if too many wait."""


def trace_id_of(event_id: str) -> int:
    """Return the id of the trace of an event: that of `event_id` without ``msg_``, if it is of that form."""
    if event_id.startswith("msg_"):
        digits = event_id[4:36]
        if len(digits) == 32 and digits.isalnum():
            try:
                return int(digits, 16) or 1
            except ValueError:
                pass  # an id of another form
    return int(hashlib.sha256(event_id.encode("utf-8", "replace")).hexdigest()[:32], 16) or 1


def event_span_id(trace_id: int) -> int:
    """Return the id of an event's span, which is the parent of those of its delivery attempts."""
    return trace_id >> 64 or 1


def derived_span_id(*parts: str) -> int:
    """Return the id of a span, made of what tells it from others in its trace."""
    return int(hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16], 16) or 1


def traceparent(trace_id: int, span_id: int, *, sampled: bool) -> str:
    """Return the value of the header ``traceparent`` (https://www.w3.org/TR/trace-context/)."""
    return f"00-{trace_id:032x}-{span_id:016x}-{'01' if sampled else '00'}"
