from __future__ import annotations

import runpy
from typing import Any

import pytest
from attrs import evolve

from kazoo_bridge.cli.sample_events import NoMessage, find_hook_type, make_message, titled
from kazoo_bridge.interfaces import HookType, Occurrence, Topic
from kazoo_bridge.plugins.discovery import built_in_categories
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness
from kazoo_bridge.topics import matches
from tests.cli.harness import CliHarness

ACCOUNT = "a" * 32
NOW = 1_700_000_000.0

#: Samples whose message would do harm, or has its own hook.
REFUSED = {("object", "doc_deleted", "account"), ("notifications", "webhook", None)}

SAMPLES = [
    pytest.param(category, hook_type, sample, id=f"{hook_type.id} {number}")
    for category in built_in_categories()
    for hook_type in category.hooks
    for number, sample in enumerate(hook_type.samples)
    if (hook_type.id, sample.get("action", sample.get("event_name")), sample.get("type")) not in REFUSED
]

#: Keys whose values are new for each message, or of the sender.
NEW = {"account_id", "app_name", "app_version", "call_id", "id", "msg_id", "timestamp", "custom_channel_vars"}


@pytest.mark.parametrize(("category", "hook_type", "sample"), SAMPLES)
def test_the_message_of_a_sample_fires_its_hooks_with_its_payload(
    category: Any, hook_type: HookType, sample: dict[str, Any]
) -> None:
    message = make_message(category, hook_type, sample, ACCOUNT, NOW)
    assert any(
        one.exchange == message.exchange and matches(one.pattern, message.routing_key)
        for one in category.topics(hook_type.id)
    )
    (occurrence,) = category.occurrences(message.event)
    assert (occurrence.hook, occurrence.account_id) == (hook_type.id, ACCOUNT)
    assert set(sample) <= set(occurrence.payload)
    for name in set(sample) - NEW:
        assert occurrence.payload[name] == sample[name], name


def test_each_message_is_another_event() -> None:
    category, hook_type = find_hook_type(built_in_categories(), "webhooks_channel_create")
    sample = hook_type.samples[0]
    first, second = (make_message(category, hook_type, sample, ACCOUNT, NOW) for _ in range(2))
    for key in ("Msg-ID", "Call-ID"):
        assert first.body[key] != second.body[key]


def test_samples_that_are_not_published() -> None:
    category, hook_type = find_hook_type(built_in_categories(), "object")
    with pytest.raises(NoMessage, match="delete the account"):
        make_message(category, hook_type, {"action": "doc_deleted", "type": "account"}, ACCOUNT, NOW)
    category, hook_type = find_hook_type(built_in_categories(), "notifications")
    (own,) = (one for one in hook_type.samples if one["event_name"] == "webhook")
    with pytest.raises(NoMessage, match="no message is known"):
        make_message(category, hook_type, own, ACCOUNT, NOW)
    with pytest.raises(NoMessage, match=r"no hook type nonsense; known are channel_answer, .*, sms"):
        find_hook_type(built_in_categories(), "nonsense")


class QueueCategory:
    """A plugin's category, which reads the account from the message."""

    name = "queue"
    hooks = (HookType("queue_entered", "", "", samples=({"account_id": "x", "queue_id": "q"},)),)
    key = "Account-ID"

    def topics(self, hook: str) -> list[Topic]:
        return [Topic("acdc", "acdc.queue.ENTERED.*")]

    def occurrences(self, event: Any) -> list[Occurrence]:
        return [Occurrence("queue_entered", event.body.get(self.key), {"name": event.name})]


def test_a_category_of_a_plugin() -> None:
    category: Any = QueueCategory()
    message = make_message(category, category.hooks[0], category.hooks[0].samples[0], ACCOUNT, NOW)
    assert message.exchange == "acdc"
    assert message.routing_key == f"acdc.queue.ENTERED.{ACCOUNT}"
    assert (message.body["Queue-ID"], message.event.name) == ("q", "queue")
    category.key = "Other"
    with pytest.raises(NoMessage):
        make_message(category, category.hooks[0], category.hooks[0].samples[0], ACCOUNT, NOW)


@pytest.mark.parametrize("name", ["begun", "ended"])
def test_a_new_category_receives_its_samples_on_websockets(cli: CliHarness, name: str) -> None:
    """Also without an account in the sample."""
    module, _ = cli.lines("plugins", "new", "agent", ".")[-2:]
    category: Any = runpy.run_path(module)["agent"]
    sample = next(one for one in category.hooks[0].samples if one["event_name"] == name)
    message = make_message(category, category.hooks[0], sample, ACCOUNT, NOW)
    harness = CategoryHarness(category)
    account = evolve(EXAMPLE_ACCOUNT, id=ACCOUNT)
    client = harness.subscribe(f"agent.{name}", account=account)
    harness.publish(message.event)
    assert [frame["name"] for frame in client.frames] == [name]


def test_keys_of_messages() -> None:
    assert [titled(name) for name in ("call_id", "caller_id_name", "from")] == [
        "Call-ID",
        "Caller-ID-Name",
        "From",
    ]
