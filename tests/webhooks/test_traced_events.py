from __future__ import annotations

from typing import Any, cast

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from kazoo_bridge.interfaces import IDirectory, IEventCategory, Requeue
from kazoo_bridge.kazoo import Event
from kazoo_bridge.spans import Span, event_span_id, trace_id_of
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher
from kazoo_bridge.webhooks.event_handler import event_id
from kazoo_bridge.webhooks.traced_events import MAX_VALUE_LENGTH, TracedEventHandler
from tests.fake_spans import FakeSpanRecorder
from tests.webhooks.fakes import FakeCategory
from tests.webhooks.hook_factory import ACCOUNT
from tests.webhooks.test_event_handler import Harness, event


class TracedHarness(Harness):
    """The handler with spans."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.spans = FakeSpanRecorder()
        self.handler = TracedEventHandler(
            self.clock,
            cast(IDirectory, self.directory),
            self.registry,
            cast(Dispatcher, self.dispatcher),
            [cast(IEventCategory, FakeCategory())],
            spans=self.spans,
        )


def test_an_event_that_matches_has_a_span() -> None:
    harness = TracedHarness()
    harness.clock.advance(5)
    handled = event(account=ACCOUNT, **{"Msg-ID": "m1", "Call-ID": "c1", "Event-Name": "CHANNEL_CREATE"})
    harness.handle(handled)
    own_id = event_id(handled)
    trace_id = trace_id_of(own_id)
    assert harness.spans.spans == [
        Span(
            trace_id,
            event_span_id(trace_id),
            0,
            "process callevt",
            "consumer",
            5.0,
            5.0,
            {
                "messaging.system": "rabbitmq",
                "messaging.operation.type": "process",
                "messaging.destination.name": "callevt",
                "messaging.rabbitmq.destination.routing_key": "x.1",
                "messaging.message.id": "m1",
                "messaging.message.conversation_id": "c1",
                "kazoo_bridge.event_name": "CHANNEL_CREATE",
                "kazoo_bridge.event_id": own_id,
                "kazoo_bridge.redelivered": False,
                "kazoo_bridge.hooks_matched": 2,
                "kazoo_bridge.account_id": ACCOUNT,
            },
        )
    ]
    assert sorted(harness.dispatcher.deliveries) == [("of-parent", own_id), ("own", own_id)]


def test_an_event_that_matches_no_hook_has_one_too() -> None:
    harness = TracedHarness()
    assert harness.handler.handle(Event("presence", "x.1", {"Call-ID": 5}, b"")) is None
    (span,) = harness.spans.spans
    assert span.attributes["kazoo_bridge.hooks_matched"] == 0
    assert "messaging.message.conversation_id" not in span.attributes


def test_what_waits_for_the_directory_ends_when_its_hooks_are_known() -> None:
    harness = TracedHarness()
    harness.directory.owners.clear()
    asking = harness.directory.asked_numbers["4722555019"] = Deferred()
    harness.handle(event(called="4722555019"))
    harness.clock.advance(0.5)
    harness.handle(event(account=ACCOUNT))
    assert [(span.began, span.ended) for span in harness.spans.spans] == [(0.5, 0.5)]
    harness.clock.advance(0.25)
    harness.directory.owners["4722555019"] = ACCOUNT
    asking.callback(None)
    assert [(span.began, span.ended) for span in harness.spans.spans[1:]] == [(0.0, 0.75)]
    assert len(harness.dispatcher.deliveries) == 4
    harness.handler.stop()


def test_an_event_that_the_bus_delivers_again_says_so() -> None:
    harness = TracedHarness(known={})
    harness.directory.down = True
    (failure,) = harness.handle(event(account=ACCOUNT))
    assert failure.check(Requeue)
    assert [span.failure for span in harness.spans.spans] == ["requeue"]


def test_a_defect_says_so_and_is_raised() -> None:
    harness = TracedHarness()
    harness.handler._directory = cast(IDirectory, None)
    with pytest.raises(AttributeError):
        harness.handler.handle(event(account=ACCOUNT))
    assert [span.failure for span in harness.spans.spans] == ["AttributeError"]


def test_a_repeated_event_has_a_span_of_its_own_below_the_first() -> None:
    harness = TracedHarness()
    handled = event(account=ACCOUNT)
    harness.handle(handled)
    harness.clock.advance(1)
    harness.handle(evolve(handled, redelivered=True))
    first, second = harness.spans.spans
    assert (second.trace_id, second.parent_id) == (first.trace_id, first.span_id)
    assert second.span_id != first.span_id
    assert second.attributes["kazoo_bridge.redelivered"] is True


def test_texts_of_an_event_are_bounded() -> None:
    harness = TracedHarness()
    harness.handler.handle(event(**{"Call-ID": "c" * 5000}))
    (span,) = harness.spans.spans
    assert span.attributes["messaging.message.conversation_id"] == "c" * MAX_VALUE_LENGTH


def test_an_event_that_is_not_sampled_has_none_and_is_delivered() -> None:
    harness = TracedHarness()
    harness.spans.sampled = False
    harness.handle(event(account=ACCOUNT))
    assert harness.dispatcher.hooks == ["of-parent", "own"]
