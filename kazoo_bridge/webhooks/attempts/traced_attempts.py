"""Records a span for each attempt at a delivery, and names it in the header ``traceparent``."""

from __future__ import annotations

from functools import partial

from attrs import define, evolve, field

from kazoo_bridge.spans import Span, SpanRecorder, derived_span_id, event_span_id, trace_id_of, traceparent
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptInFlight, AttemptResult
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome
from kazoo_bridge.webhooks.http.wire_request import WireRequest

#: The header, as it is recorded, and as it is sent.
_HEADER, _SENT_HEADER = "traceparent", "Traceparent"


@define(eq=False)
class TracedAttemptRunner(AttemptRunner):
    """Makes attempts like its base, and gives `spans` a span of each that has ended.

    A cancelled attempt has none: it is made again. A hook's own header ``traceparent`` overrides that of the
    attempt.
    """

    spans: SpanRecorder = field(kw_only=True)

    def _make_request(self, attempt: AttemptInFlight, now: float) -> None:
        super()._make_request(attempt, now)
        if attempt.request is not None and _HEADER not in attempt.hook.headers:
            trace_id = trace_id_of(attempt.delivery.event_id)
            value = traceparent(trace_id, _span_id(attempt), sampled=self.spans.is_sampled(trace_id))
            attempt.request = with_traceparent(attempt.request, value)

    def _conclude(self, attempt: AttemptInFlight, outcome: Outcome, now: float) -> None:
        super()._conclude(attempt, outcome, now)
        failure = "" if outcome.success else outcome.failure_reason
        self._record_span(attempt, now, failure, outcome.status)

    def _end_unsent(self, attempt: AttemptInFlight, result: AttemptResult) -> None:
        super()._end_unsent(attempt, result)
        self._record_span(attempt, self._clock.seconds(), "too_old" if result.dropped else "unsendable")

    def _record_span(
        self, attempt: AttemptInFlight, now: float, failure: str, status: int | None = None
    ) -> None:
        hook, delivery = attempt.hook, attempt.delivery
        trace_id = trace_id_of(delivery.event_id)
        if not self.spans.is_sampled(trace_id):
            return
        attributes: dict[str, str | int | bool] = {
            "http.request.method": hook.verb.upper(),
            "kazoo_bridge.event_id": delivery.event_id,
            "kazoo_bridge.delivery_id": delivery.id,
            "kazoo_bridge.hook_id": hook.id,
            "kazoo_bridge.hook": delivery.event,
            "kazoo_bridge.account_id": hook.account_id,
            "kazoo_bridge.attempt": delivery.attempts + 1,
        }
        if attempt.request is not None:
            attributes["server.address"] = attempt.request.origin.host
            attributes["server.port"] = attempt.request.origin.port
        if status is not None:
            attributes["http.response.status_code"] = status
        self.spans.record(
            Span(
                trace_id,
                _span_id(attempt),
                event_span_id(trace_id),
                hook.verb.upper(),
                "client",
                attempt.began or now,
                now,
                attributes,
                failure,
            )
        )


def with_traceparent(request: WireRequest, value: str) -> WireRequest:
    """Return `request` with the header ``traceparent``, which its signature does not cover."""
    head, end, body = request.data.partition(b"\r\n\r\n")
    header = f"\r\n{_SENT_HEADER}: {value}".encode("ascii")
    return evolve(
        request,
        data=b"".join((head, header, end, body)),
        source=partial(_source_with_traceparent, request, value),
    )


def _source_with_traceparent(request: WireRequest, value: str) -> HookRequest:
    source = request.source()
    return evolve(source, headers={**source.headers, _HEADER: value})


def _span_id(attempt: AttemptInFlight) -> int:
    # Not by the number of attempts: a fault of this node does not count.
    return derived_span_id(attempt.delivery.id, repr(attempt.began))
