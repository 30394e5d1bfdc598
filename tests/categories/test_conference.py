from __future__ import annotations

import pytest

from kazoo_bridge.categories.conference import EVENTS, conference
from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event
from tests.categories.category_calls import ACCOUNT, OTHER, occurrences, patterns, refusal, topics


def test_the_payload() -> None:
    body = {
        "Event-Category": "conference",
        "Event-Name": "event",
        "Event": "add-member",
        "Node": "n",
        "Conference-ID": "c1",
        "Instance-ID": "i1",
        "Call-ID": "call",
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Fetch-ID": "f"},
    }
    payload = {
        "event_name": "event",
        "event": "add-member",
        "conference_id": "c1",
        "instance_id": "i1",
        "call_id": "call",
        "account_id": ACCOUNT,
    }
    assert occurrences(conference, body) == [
        Occurrence("conference", ACCOUNT, payload, {"type": "add-member"})
    ]
    del body["Custom-Channel-Vars"]
    assert (
        occurrences(conference, body, f"conference.event.add-member.{ACCOUNT}.c1.call")[0].account_id
        == ACCOUNT
    )
    assert occurrences(conference, body, "conference.event")[0].account_id is None
    assert occurrences(conference, {**body, "Event-Name": "command"}) == []


def test_there_is_a_sample_of_every_event() -> None:
    assert [sample["event"] for sample in conference.hooks[0].samples] == list(EVENTS)


@pytest.mark.parametrize(
    ("binding", "topic", "pattern"),
    [
        (
            "conference.event.c1.*",
            f"conference.event.*.{ACCOUNT}.*.*",
            f"conference.event.*.{ACCOUNT}.c1.*",
        ),
        (
            "conference.event.*.*",
            f"conference.event.*.{ACCOUNT}.*.*",
            f"conference.event.*.{ACCOUNT}.*.*",
        ),
        ("conference.command.c1", "conference.command.*", "conference.command.c1"),
    ],
)
def test_bindings(binding: str, topic: str, pattern: str) -> None:
    assert topics(conference, binding) == [("conference", topic)]
    assert patterns(conference, binding) == [pattern]


def test_only_subscribers_to_all_accounts_receive_the_commands_of_all_conferences() -> None:
    assert patterns(conference, "conference.command.*", None) == ["conference.command.*"]
    assert refusal(conference, "conference.command.*") == "ConferenceId required"


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        ("conference.event.c1", "invalid format for conference subscription : event, c1"),
        ("conference.event.c1.#", "invalid format for conference subscription : event, c1, #"),
        ("conference.other.c1", "invalid format for conference subscription : other, c1"),
    ],
)
def test_refusals(binding: str, text: str) -> None:
    assert refusal(conference, binding) == text


def test_bindings_of_other_categories_are_not_known() -> None:
    assert conference.resolve_binding("call.x.y", EXAMPLE_ACCOUNT, False, 0.0) is None


def test_a_command_without_an_account_reaches_only_super_admins() -> None:
    harness = CategoryHarness(conference)
    other = harness.subscribe("conference.command.c1")
    all_accounts = harness.subscribe("conference.command.c1", None, superadmin=True)
    one_account = harness.subscribe("conference.command.c1", superadmin=True)
    for body in ({}, {"Account-ID": "no id"}, {"Account-ID": ["a"]}):
        harness.publish(make_event("conference", "conference.command.c1", body, envelope=False))
    assert [len(client.frames) for client in (other, all_accounts, one_account)] == [0, 3, 3]
    harness.publish(make_event("conference", "conference.command.c2", {}, envelope=False))
    assert [len(client.frames) for client in (other, all_accounts, one_account)] == [0, 3, 3]


def test_no_id_of_a_conference_stands_for_the_commands_without_an_account() -> None:
    harness = CategoryHarness(conference)
    clients = [
        harness.subscribe(f"conference.command.{spelling}")
        for spelling in ("undefined%2Ec1", "undefined", "undefined.c1".replace(".", "%2e"))
    ]
    harness.publish(make_event("conference", "conference.command.c1", {}, envelope=False))
    assert not any(client.frames for client in clients)


def test_a_command_reaches_the_account_that_it_names() -> None:
    harness = CategoryHarness(conference)
    client = harness.subscribe("conference.command.c1")
    for account_id in (ACCOUNT, OTHER):
        harness.publish(make_event("conference", "conference.command.c1", {"Account-ID": account_id}))
    assert [frame["data"]["account_id"] for frame in client.frames] == [ACCOUNT]
