from __future__ import annotations

import pytest

from kazoo_bridge.categories.fax_status import STATES, fax_status
from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event
from tests.categories.category_calls import (
    ACCOUNT,
    DB,
    OTHER,
    occurrences,
    patterns,
    refusal,
    resolve,
    topics,
)


def test_the_payload() -> None:
    body = {
        "Event-Category": "fax",
        "Event-Name": "status",
        "Job-ID": "j",
        "Fax-State": "send",
        "Page": 2,
        "Server-ID": "s",
    }
    payload = {"event_name": "status", "job_id": "j", "fax_state": "send", "page": 2, "account_id": ACCOUNT}
    assert occurrences(fax_status, body, f"fax.status.{ACCOUNT}.j") == [
        Occurrence("fax_status", ACCOUNT, payload, {"type": "send"})
    ]
    assert occurrences(fax_status, {"Event-Name": "status", "Account-ID": ACCOUNT})[0].selectors == {}
    assert occurrences(fax_status, {"Event-Name": "query_status"}) == []


def test_there_is_a_sample_of_every_state() -> None:
    assert [sample["fax_state"] for sample in fax_status.hooks[0].samples] == list(STATES)


@pytest.mark.parametrize(
    ("binding", "topic", "pattern"),
    [
        ("fax.status.*", ("faxes", f"fax.status.{ACCOUNT}.*"), f"fax.status.{ACCOUNT}.*"),
        ("fax.status.202611-f1", ("faxes", f"fax.status.{ACCOUNT}.*"), f"fax.status.{ACCOUNT}.202611-f1"),
        (
            "fax.object.doc_created",
            ("configuration", f"doc_created.{DB}-202611.fax.*"),
            f"doc_created.{DB}-202611.fax.*",
        ),
        ("fax.object.*", ("configuration", f"*.{DB}-202611.fax.*"), f"*.{DB}-202611.fax.*"),
    ],
)
def test_bindings(binding: str, topic: tuple[str, str], pattern: str) -> None:
    assert topics(fax_status, binding) == [topic]
    assert patterns(fax_status, binding) == [pattern]


def test_a_plan_for_documents_ends_with_the_month() -> None:
    assert resolve(fax_status, "fax.object.*").until is not None
    assert resolve(fax_status, "fax.status.*").until is None


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        ("fax.object.create", "event create not supported"),
        ("fax.status", "invalid format for fax subscription : status"),
        ("fax.status.#", "invalid format for fax subscription : status, #"),
    ],
)
def test_refusals(binding: str, text: str) -> None:
    assert refusal(fax_status, binding) == text


def test_bindings_of_other_categories_are_not_known() -> None:
    assert fax_status.resolve_binding("call.x.y", EXAMPLE_ACCOUNT, False, 0.0) is None


def test_subscribers_receive_the_faxes_of_their_account() -> None:
    harness = CategoryHarness(fax_status)
    client = harness.subscribe("fax.status.*")
    for account_id in (ACCOUNT, OTHER):
        harness.publish(make_event("faxes", f"fax.status.{account_id}.j1", {"Event-Name": "status"}))
    assert [frame["routing_key"] for frame in client.frames] == [f"fax.status.{ACCOUNT}.j1"]
