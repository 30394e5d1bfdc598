from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import Delivery, Secret
from kazoo_bridge.spans import Span, event_span_id, trace_id_of, traceparent
from kazoo_bridge.webhooks.attempts.traced_attempts import TracedAttemptRunner, with_traceparent
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.request_plan import RequestPlan
from kazoo_bridge.webhooks.http.signing import sign
from kazoo_bridge.webhooks.http.wire_request import wire_request
from tests.fake_spans import FakeSpanRecorder
from tests.webhooks.fakes import FakeAgent, respond
from tests.webhooks.harness import Harness, make_harness, results_of
from tests.webhooks.hook_factory import ACCOUNT, make_hook

EVENT_ID = "msg_" + "0123456789abcdef" * 2
TRACE_ID = trace_id_of(EVENT_ID)


def make_traced(*, sampled: bool = True) -> tuple[FakeSpanRecorder, FakeAgent, Harness]:
    spans = FakeSpanRecorder(sampled)
    agent, harness = make_harness(
        reachable=True, started=False, make_runner=partial(TracedAttemptRunner, spans=spans)
    )
    return spans, agent, harness


def attempt(harness: Harness, hook: Hook, delivery: Delivery | None = None) -> list[Any]:
    """Begin an attempt; returns its results, as `results_of`."""
    work = harness.attempt_runner.attempt(
        hook, delivery or harness.delivery(hook, EVENT_ID), harness.acquire(hook)
    )
    return results_of(Deferred.fromCoroutine(work))


def sent(agent: FakeAgent, number: int = 0) -> str | None:
    """The header of a request."""
    values = agent.headers[number].getRawHeaders("Traceparent")
    return values[0] if values else None


def test_a_successful_attempt_has_a_span_that_the_receiver_continues() -> None:
    spans, agent, harness = make_traced()
    hook = harness.hook()
    harness.clock.advance(5)
    attempt(harness, hook)
    harness.clock.advance(0.5)
    respond(agent.hanging[0], 200)
    (span,) = spans.spans
    delivery = harness.delivery(hook, EVENT_ID)
    assert span == Span(
        TRACE_ID,
        span.span_id,
        event_span_id(TRACE_ID),
        "POST",
        "client",
        5.0,
        5.5,
        {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "server.address": "receiver.example",
            "server.port": 80,
            "kazoo_bridge.event_id": EVENT_ID,
            "kazoo_bridge.delivery_id": delivery.id,
            "kazoo_bridge.hook_id": "h1",
            "kazoo_bridge.hook": "channel_create",
            "kazoo_bridge.account_id": ACCOUNT,
            "kazoo_bridge.attempt": 1,
        },
    )
    assert sent(agent) == traceparent(TRACE_ID, span.span_id, sampled=True)


def test_attempts_at_one_delivery_are_siblings() -> None:
    spans, agent, harness = make_traced()
    hook = harness.hook()
    for attempts, status in enumerate((503, 200)):
        attempt(harness, hook, evolve(harness.delivery(hook, EVENT_ID), attempts=attempts))
        harness.clock.advance(1)
        respond(agent.hanging[attempts], status)
    first, second = spans.spans
    assert [(one.failure, one.attributes["kazoo_bridge.attempt"]) for one in (first, second)] == [
        ("5xx", 1),
        ("", 2),
    ]
    assert first.parent_id == second.parent_id
    assert first.span_id != second.span_id
    assert sent(agent, 1) == traceparent(TRACE_ID, second.span_id, sampled=True)


def test_no_part_of_the_hooks_uri_but_host_and_port_is_in_a_span() -> None:
    spans, agent, harness = make_traced()
    attempt(harness, harness.hook(uri="https://user:hunter2@receiver.example/hunter2?key=hunter2"))
    respond(agent.hanging[0], 500)
    (span,) = spans.spans
    assert "hunter2" not in repr(span)
    assert span.attributes["server.port"] == 443


def test_a_request_that_cannot_be_built_has_a_span() -> None:
    spans, _, harness = make_traced()
    hook = harness.hook(format="json")
    with capturedLogs():
        attempt(harness, hook, evolve(harness.delivery(hook, EVENT_ID), payload={"x": object()}))
    (span,) = spans.spans
    assert (span.failure, "server.address" in span.attributes) == ("unsendable", False)


def test_an_event_that_is_too_old_has_a_span() -> None:
    spans, agent, harness = make_traced()
    hook = harness.hook(max_age_s=1)
    delivery = harness.delivery(hook, EVENT_ID)
    harness.clock.advance(5)
    attempt(harness, hook, delivery)
    assert [span.failure for span in spans.spans] == ["too_old"]
    assert agent.headers == []


def test_a_trace_that_is_not_sampled_is_named_but_has_no_span() -> None:
    spans, agent, harness = make_traced(sampled=False)
    attempt(harness, harness.hook())
    respond(agent.hanging[0], 200)
    assert spans.spans == []
    header = sent(agent)
    assert header is not None
    assert header.startswith(f"00-{TRACE_ID:032x}-")
    assert header.endswith("-00")


def test_a_hooks_own_header_overrides() -> None:
    _, agent, harness = make_traced()
    attempt(harness, harness.hook(headers={"Traceparent": "own"}))
    assert sent(agent) == "own"


def test_without_spans_the_header_is_not_sent() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    attempt(harness, harness.hook())
    assert sent(agent) is None


def test_the_signature_does_not_cover_the_header() -> None:
    hook = evolve(make_hook(), secrets=(Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),))
    plain = RequestPlan.from_hook(hook).request({"a": 1}, "", "msg_1", 5.0, 100)
    traced = with_traceparent(plain, "00-1-2-01").source()
    signed = sign(hook.signing_keys, "msg_1", 5.0, traced.body)
    assert signed is not None
    assert traced.headers["webhook-signature"] == signed[1]


@pytest.mark.parametrize("body", [b"", b"a=1\r\n\r\nb"])
def test_the_header_is_the_last_of_the_head(body: bytes) -> None:
    request = HookRequest("POST", "http://receiver.example/", {"X-A": "1"}, body)
    plain = wire_request(request)
    traced = with_traceparent(plain, "00-1-2-01")
    head, _, rest = traced.data.partition(b"\r\n\r\n")
    assert head == plain.data.partition(b"\r\n\r\n")[0] + b"\r\nTraceparent: 00-1-2-01"
    assert rest == body
    assert traced.source().headers == {"X-A": "1", "traceparent": "00-1-2-01"}
    assert plain.source() == request
