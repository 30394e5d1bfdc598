from __future__ import annotations

from typing import Any, cast

from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import IBindingCategory, SubscriberEvent
from kazoo_bridge.kazoo import Event
from kazoo_bridge.websockets.subscriptions.event_reading import for_number_owner, read_events

EVENT = Event("e", "k", {}, b"")


class Category:
    name = "c"

    def subscriber_events(self, event: Event) -> Any:
        yield SubscriberEvent("k", "r")
        raise ValueError("defect")


def test_a_category_that_fails_gives_no_events() -> None:
    with capturedLogs() as logs:
        assert read_events(cast(IBindingCategory, Category()), EVENT) == []
    assert logs[0]["category"] == "c"


def test_an_event_without_a_known_owner_stays_as_it_is() -> None:
    found = SubscriberEvent("k", "r", called_number="1", for_owner=lambda owner: SubscriberEvent(owner, "r"))
    nothing: dict[str, str] = {}
    assert for_number_owner(found, nothing.get) is found
    assert for_number_owner(found, {"1": "owner"}.get).key == "owner"
