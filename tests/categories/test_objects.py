from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kazoo_bridge.categories.objects import ACTIONS, TYPES, objects
from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.kazoo import account_db, monthly_db
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


def change(action: str, database: str, kind: str, document_id: str = "d1", **more: Any) -> dict[str, Any]:
    return {
        "Event-Category": "configuration",
        "Event-Name": action,
        "ID": document_id,
        "Database": database,
        "Type": kind,
        "Rev": "1-a",
        **more,
    }


@pytest.mark.parametrize(
    "database", [account_db(ACCOUNT), monthly_db(ACCOUNT, 2026, 11), account_db(ACCOUNT).replace("%2F", "/")]
)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("action", ACTIONS)
def test_objects(action: str, kind: str, database: str) -> None:
    payload = {"id": "d1", "account_id": ACCOUNT, "action": action, "type": kind}
    expected = [Occurrence("object", ACCOUNT, payload, {"type": kind, "action": action})]
    assert occurrences(objects, change(action, database, kind, Doc={"secret": 1})) == expected


def test_a_type_that_no_hook_can_choose_by_name() -> None:
    """Hooks for all types receive it, like in KAZOO."""
    (occurrence,) = occurrences(objects, change("doc_edited", account_db(ACCOUNT), "menu"))
    assert (occurrence.payload["type"], occurrence.selectors) == (
        "menu",
        {"type": "menu", "action": "doc_edited"},
    )


@pytest.mark.parametrize("flag", [True, "true"])
def test_a_soft_deleted_object_is_deleted(flag: Any) -> None:
    (occurrence,) = occurrences(
        objects, change("doc_edited", account_db(ACCOUNT), "user", **{"Is-Soft-Deleted": flag})
    )
    assert occurrence.payload["action"] == occurrence.selectors["action"] == "doc_deleted"


def test_in_the_aggregate_database_the_account_is_the_document() -> None:
    (occurrence,) = occurrences(
        objects, change("doc_edited", "accounts", "account", ACCOUNT, **{"Account-ID": OTHER})
    )
    assert occurrence.account_id == occurrence.payload["account_id"] == ACCOUNT


@pytest.mark.parametrize(
    "body",
    [
        change("doc_edited", "webhooks", "webhook"),
        change("doc_edited", "webhooks", "user"),
        change("doc_edited", "accounts", "account", "no account id"),
        change("db_created", account_db(ACCOUNT), "user"),
        change("doc_edited", "system_config", "user"),
        {"Event-Name": "doc_edited"},
        {"Event-Name": "doc_edited", "Type": ["user"], "Database": {}, "ID": 7},
    ],
)
def test_what_is_no_accounts_object(body: dict[str, Any]) -> None:
    assert occurrences(objects, body) == []


@pytest.mark.parametrize(
    ("binding", "pattern"),
    [
        ("object.doc_created.user", f"doc_created.{DB}.user.*"),
        ("object.*.device", f"*.{DB}.device.*"),
        ("object.doc_edited.call_recording", f"doc_edited.{DB}-202611.call_recording.*"),
        ("doc_created.*.user.*", f"doc_created.{DB}.user.*"),
        ("doc_edited.account%2Fbb%2Fbb%2Fx.user.u1", f"doc_edited.{DB}.user.u1"),
    ],
)
def test_bindings(binding: str, pattern: str) -> None:
    every_id = pattern.rpartition(".")[0] + ".*"
    assert topics(objects, binding) == [("configuration", every_id)]
    assert patterns(objects, binding) == [pattern]


def test_objects_of_every_type_are_in_both_databases() -> None:
    assert patterns(objects, "object.doc_deleted.*") == [
        f"doc_deleted.{DB}.*.*",
        f"doc_deleted.{DB}-202611.*.*",
    ]
    assert patterns(objects, "object.*.*", None) == ["*.*.*.*"]


def test_a_plan_with_a_monthly_database_ends_before_the_next_month() -> None:
    until = datetime(2026, 11, 30, 23, tzinfo=UTC).timestamp()
    assert resolve(objects, "object.*.*").until == until
    assert resolve(objects, "object.doc_created.user").until is None


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        ("object.doc_created.planet", "event doc_created.planet not supported"),
        ("object.#.user", "event #.user not supported"),
        ("object.doc_created", "invalid format for object subscription : doc_created"),
        ("doc_created.*.user", "invalid format for object subscription : *, user"),
        ("doc_created.*.user.#", "invalid format for object subscription : *, user, #"),
    ],
)
def test_refusals(binding: str, text: str) -> None:
    assert refusal(objects, binding) == text


def test_bindings_of_other_categories_are_not_known() -> None:
    assert objects.resolve_binding("call.x.y", EXAMPLE_ACCOUNT, False, 0.0) is None


def test_subscribers_receive_the_changes_of_their_account() -> None:
    harness = CategoryHarness(objects)
    client = harness.subscribe("object.doc_edited.user")
    for database in (DB, account_db(OTHER)):
        body = change("doc_edited", database, "user")
        harness.publish(make_event("configuration", f"doc_edited.{database}.user.d1", body))
    assert [frame["routing_key"] for frame in client.frames] == [f"doc_edited.{DB}.user.d1"]
