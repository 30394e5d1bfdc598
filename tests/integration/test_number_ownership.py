"""Calls from carriers, which name no account, reach the hooks of the owner of the called number in KAZOO."""

from __future__ import annotations

from typing import Any, cast

import pytest
from zope.interface.verify import verifyObject

from kazoo_bridge.categories.call import call
from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.kazoo import Event
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher
from kazoo_bridge.webhooks.event_handler import WebhookEventHandler
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from tests.couchdb.kazoo_cluster import CUSTOMER, NUMBER, SIBLING
from tests.directory.couchdb.harness import DirectoryHarness, result_of
from tests.webhooks.hook_factory import make_hook
from tests.webhooks.test_event_handler import FakeDispatcher

NATIONAL = NUMBER.removeprefix("+1")


class Harness:
    """Hooks of the owner and of another account, over a CouchDB that knows the number."""

    def __init__(self) -> None:
        self.kazoo, self.dispatcher, registry = DirectoryHarness(), FakeDispatcher(), HookRegistry()
        registry.replace_all([make_hook("owners", CUSTOMER), make_hook("others", SIBLING)])
        self.directory = cast(IDirectory, self.kazoo.directory)
        verifyObject(IDirectory, self.directory)
        dispatcher = cast(Dispatcher, self.dispatcher)
        self.handler = WebhookEventHandler(self.kazoo.clock, self.directory, registry, dispatcher, [call])

    def carrier_calls(self, number: str) -> Any:
        user = f"{number}@10.0.0.1"
        body = {
            "Event-Category": "call_event",
            "Event-Name": "CHANNEL_CREATE",
            "Call-ID": "i1",
            "Request": user,
            "To": user,
            "Custom-Channel-Vars": {},
        }
        return self.handler.handle(Event("callevt", "call.CHANNEL_CREATE.i1", body, b""))

    def assign(self, account_id: str, **more: Any) -> None:
        """Assign the number in KAZOO, which announces it."""
        self.kazoo.couch.update("numbers/+1415", NUMBER, pvt_assigned_to=account_id, **more)
        body = {"Database": "numbers%2F%2B1415", "ID": NUMBER, "Type": "number"}
        event = Event("configuration", f"doc_edited.numbers%252F%252B1415.number.{NUMBER}", body, b"")
        self.kazoo.directory.on_configuration_event(event)


@pytest.mark.parametrize("spelling", [NATIONAL, f"1{NATIONAL}", NUMBER])
def test_a_call_to_a_number_reaches_the_hooks_of_its_owner(spelling: str) -> None:
    harness = Harness()
    harness.carrier_calls(spelling)
    assert harness.dispatcher.hooks == ["owners"]
    assert harness.dispatcher.payloads[0]["account_id"] == CUSTOMER


def test_a_number_that_moves_is_followed() -> None:
    harness = Harness()
    harness.carrier_calls(NATIONAL)
    harness.assign(SIBLING)
    harness.carrier_calls(NATIONAL)
    assert [hook_id for hook_id, _ in harness.dispatcher.deliveries] == ["owners", "others"]
    harness.assign(SIBLING, pvt_state="available")
    assert result_of(harness.carrier_calls(NATIONAL)) is None
    assert harness.handler.without_account == 1
    harness.handler.stop()


def test_calls_to_numbers_of_a_disabled_account_reach_no_hook() -> None:
    harness = Harness()
    harness.kazoo.cluster.save_account(CUSTOMER, pvt_enabled=False)
    harness.kazoo.couch.flush()
    assert result_of(harness.carrier_calls(NATIONAL)) is None
    assert harness.dispatcher.hooks == []
    harness.handler.stop()
