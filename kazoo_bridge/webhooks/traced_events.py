"""Records a span for each event of webhooks: from its reception until its hooks are known."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import Completion, Occurrence, Requeue
from kazoo_bridge.kazoo import Event
from kazoo_bridge.spans import Span, SpanRecorder, derived_span_id, event_span_id, trace_id_of
from kazoo_bridge.webhooks.event_handler import Match, WebhookEventHandler, event_id

#: Characters of a text that an event brings.
MAX_VALUE_LENGTH = 255


@define(eq=False)
class TracedEventHandler(WebhookEventHandler):
    """Handles events like its base, and gives `spans` a span of each."""

    spans: SpanRecorder = field(kw_only=True)
    #: When events were received whose hooks are not known yet, by their `id`.
    _received: dict[int, float] = field(init=False, factory=dict)

    def handle(self, event: Event) -> Deferred[None] | Completion | None:
        """Start the deliveries of an event, like the base."""
        self._received[id(event)] = self._clock.seconds()
        try:
            handling = super().handle(event)
        except Exception as error:
            self._record(event, failure=type(error).__name__)
            raise
        if isinstance(handling, Deferred):
            handling.addErrback(self._on_failed, event)
        return handling

    def _on_failed(self, failure: Failure, event: Event) -> Failure:
        if id(event) in self._received:  # else its hooks were known, and it failed later
            self._record(event, failure="requeue" if failure.check(Requeue) else type(failure.value).__name__)
        return failure

    def _deliver(
        self, occurrences: list[Occurrence], parts: list[list[Match]], event: Event
    ) -> Deferred[None] | Completion | None:
        self._record(event, occurrences, sum(map(len, parts)))
        return super()._deliver(occurrences, parts, event)

    def _record(
        self, event: Event, occurrences: list[Occurrence] | None = None, matched: int = 0, failure: str = ""
    ) -> None:
        now = self._clock.seconds()
        began = self._received.pop(id(event), now)
        own_id = event_id(event)
        trace_id = trace_id_of(own_id)
        if not self.spans.is_sampled(trace_id):
            return
        span_id, parent_id = event_span_id(trace_id), 0
        if event.redelivered:
            span_id, parent_id = derived_span_id(own_id, repr(began)), span_id
        attributes = _attributes(event, own_id) | {"kazoo_bridge.hooks_matched": matched}
        accounts = {one.account_id for one in occurrences or () if one.account_id is not None}
        if len(accounts) == 1:
            attributes["kazoo_bridge.account_id"] = accounts.pop()
        name = f"process {event.exchange}"
        self.spans.record(
            Span(trace_id, span_id, parent_id, name, "consumer", began, now, attributes, failure)
        )


def _attributes(event: Event, own_id: str) -> dict[str, str | int | bool]:
    attributes: dict[str, str | int | bool] = {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "process",
        "messaging.destination.name": event.exchange,
        "messaging.rabbitmq.destination.routing_key": event.routing_key,
        "kazoo_bridge.event_id": own_id,
        "kazoo_bridge.redelivered": event.redelivered,
    }
    call_id = event.body.get("Call-ID")
    for name, value in (
        ("messaging.message.id", event.message_id),
        ("messaging.message.conversation_id", call_id),
        ("kazoo_bridge.event_name", event.name),
    ):
        if value and isinstance(value, str):
            attributes[name] = value[:MAX_VALUE_LENGTH]
    return attributes
