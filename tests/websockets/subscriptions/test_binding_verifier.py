from __future__ import annotations

import json

from kazoo_bridge.websockets.subscriptions.bind_queue import ANSWER_TIMEOUT
from tests.websockets.fakes import CHILD, PARENT, PartsHarness

REFUSED = "binding {} is not available: the message bus has refused it"


def verify(its: PartsHarness) -> None:
    its.subscriptions.start_verifying(its.registry)


def test_what_the_broker_refuses_after_it_was_away_ends_and_its_clients_are_informed() -> None:
    its = PartsHarness()
    (one, heard), (other, heard_nothing) = its.connect(), its.connect(CHILD, 2)
    its.subscribe(one, "call.CHANNEL_CREATE.*", "call.CHANNEL_CREATE.c1", "parking.*")
    its.subscribe(other, "fax.status.*", account_id=CHILD)
    its.consumer.refused = ["CHANNEL_CREATE"]
    its.consumer.start_count += 1
    for _ in range(2):
        verify(its)
    (notice,) = heard.replies
    assert json.loads(notice)["data"] == {
        "errors": [REFUSED.format("call.CHANNEL_CREATE.*"), REFUSED.format("call.CHANNEL_CREATE.c1")],
        "account_id": PARENT,
        "unsubscribed": ["call.CHANNEL_CREATE.*", "call.CHANNEL_CREATE.c1"],
        "subscribed": ["parking.*"],
    }
    assert not heard_nothing.replies
    assert its.subscription_budget.subscriptions == {PARENT: 1, CHILD: 1}
    assert not any("CHANNEL_CREATE" in topic.pattern for topic in its.fanout.index.topics)


def test_while_the_broker_was_not_away_nothing_is_asked() -> None:
    its = PartsHarness()
    session, output = its.connect()
    verify(its)
    its.subscribe(session, "call.CHANNEL_CREATE.*")
    its.consumer.refused = ["CHANNEL_CREATE"]
    verify(its)
    assert session.subscription_count == 1
    assert not output.replies


def test_a_broker_that_does_not_answer_is_asked_again() -> None:
    its = PartsHarness()
    session, output = its.connect()
    its.subscribe(session, "call.CHANNEL_CREATE.*")
    its.consumer.unanswered = ["CHANNEL_CREATE"]
    verify(its)
    its.clock.advance(ANSWER_TIMEOUT)
    assert session.subscription_count == 1
    its.consumer.unanswered, its.consumer.refused = [], ["CHANNEL_CREATE"]
    verify(its)
    assert not session.subscription_count
    assert len(output.replies) == 1
