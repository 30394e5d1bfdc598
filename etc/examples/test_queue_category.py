"""The tests of the example; copy them with it, into another folder."""

import pytest
from attrs import evolve
from queue_category import queue

from kazoo_bridge.interfaces import BindingRefused
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event

OTHER_ACCOUNT = evolve(EXAMPLE_ACCOUNT, id="b" * 32)


def make_queue_event(name, account=EXAMPLE_ACCOUNT):
    return make_event(
        "callevt",
        f"acdc.queue.{name}.{account.id}",
        {"Event-Category": "acdc_queue", "Event-Name": name, "Account-ID": account.id, "Call-ID": "c1"},
    )


@pytest.mark.parametrize(("name", "hook"), [("ENTERED", "queue_entered"), ("LEFT", "queue_left")])
def test_events_fire_their_hooks(name, hook):
    (occurrence,) = CategoryHarness(queue).publish(make_queue_event(name))
    assert (occurrence.hook, occurrence.account_id) == (hook, EXAMPLE_ACCOUNT.id)
    assert occurrence.payload["call_id"] == "c1"


def test_subscribers_receive_the_events_of_their_account():
    harness = CategoryHarness(queue)
    client = harness.subscribe("queue.*")
    harness.publish(make_queue_event("ENTERED"), make_queue_event("ENTERED", OTHER_ACCOUNT))
    (frame,) = client.frames
    assert frame["data"]["account_id"] == EXAMPLE_ACCOUNT.id


def test_other_events_are_refused():
    with pytest.raises(BindingRefused, match="event MOVED not supported"):
        CategoryHarness(queue).subscribe("queue.MOVED")


def test_other_events_on_the_exchange_fire_nothing():
    event = make_event("callevt", "call.CHANNEL_CREATE.c1", {"Event-Name": "CHANNEL_CREATE"})
    assert list(queue.occurrences(event)) == []


def test_a_node_would_accept_the_category():
    assert CategoryHarness(queue).problems(make_queue_event("ENTERED"), make_queue_event("LEFT")) == []
