"""Test doubles and a harness for authors of event categories; all public.

`make_event` makes the event that a message of KAZOO becomes. `CategoryHarness` runs a category over events,
and shows the hooks that it fires and the frames that websocket clients receive. `FakeBus` replaces the
message bus.

A test of a category::

    from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event

    def test_a_call_that_enters_a_queue() -> None:
        harness = CategoryHarness(queue)
        client = harness.subscribe("queue.ENTERED")
        event = make_event(
            "callevt",
            f"acdc.queue.ENTERED.{EXAMPLE_ACCOUNT.id}",
            {"Event-Category": "acdc_queue", "Event-Name": "ENTERED", "Account-ID": EXAMPLE_ACCOUNT.id},
        )
        (occurrence,) = harness.publish(event)
        assert occurrence.hook == "queue_entered"
        assert client.frames[0]["name"] == "ENTERED"
        assert harness.problems(event) == []
"""

from kazoo_bridge.plugins.validation import InvalidPlugin
from kazoo_bridge.testing.bus import FakeBus, FakeConsumer, PublishedMessage
from kazoo_bridge.testing.events import EXAMPLE_ACCOUNT, make_event
from kazoo_bridge.testing.harness import CategoryHarness, FakeSubscriber

__all__ = [
    "EXAMPLE_ACCOUNT",
    "CategoryHarness",
    "FakeBus",
    "FakeConsumer",
    "FakeSubscriber",
    "InvalidPlugin",
    "PublishedMessage",
    "make_event",
]
