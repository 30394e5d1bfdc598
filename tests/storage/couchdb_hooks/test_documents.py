from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import Suspension
from kazoo_bridge.storage.couchdb_hooks.documents import (
    MAX_DOCUMENT_BYTES,
    OUR_KEYS,
    UnusableHook,
    is_hook_id,
    is_live_hook,
    own_options,
    parse_hook,
    parse_or_log,
    parse_quietly,
    soft_deleted,
    to_kazoo,
    with_extras,
)
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtras
from kazoo_bridge.webhooks.hooks.hook_document import document_schema
from tests.storage.couchdb_hooks.harness import hook_document
from tests.storage.record_factories import ONE, A

REVISION = f"1-{'0' * 32}"

#: The properties of KAZOO's schema ``webhooks``, and what its code reads besides.
KAZOOS_KEYS = {
    "custom_data",
    "enabled",
    "format",
    "group",
    "hook",
    "http_verb",
    "include_internal_legs",
    "include_subaccounts",
    "modifiers",
    "name",
    "retries",
    "uri",
}


def document(**more: Any) -> dict[str, Any]:
    return hook_document(_rev=REVISION, **more)


def parsed(**more: Any) -> dict[str, Any]:
    return dict(parse_hook(document(**more)).document)


def test_every_key_is_kazoos_or_kept_here() -> None:
    assert set(document_schema([])["properties"]) == KAZOOS_KEYS | OUR_KEYS


def test_headers_in_couchdb_are_not_shown() -> None:
    shown = parsed(headers={"x": "secret"}, custom_request_headers={"x": "secret"})
    assert not {"headers", "custom_request_headers"} & set(shown)


def test_a_document_of_kazoo() -> None:
    hook = parse_hook(document(custom_data={"a": "b"}, id=ONE, disable_reason="sent back by a client"))
    assert (hook.id, hook.account_id, hook.revision) == (ONE, A, REVISION)
    assert (hook.created, hook.modified) == (63667898685, 63667898685)
    assert hook.document == {
        "name": "Calls",
        "uri": "http://receiver.example/",
        "hook": "channel_create",
        "http_verb": "post",
        "format": "form-data",
        "retries": 2,
        "enabled": True,
        "include_subaccounts": False,
        "include_internal_legs": True,
        "custom_data": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("key", "stored", "read"),
    [
        ("hook", "CHANNEL_CREATE", "channel_create"),
        ("hook", "Inbound_Fax", "inbound_fax"),
        ("http_verb", "GET", "get"),
        ("http_verb", None, "post"),
        ("format", "JSON", "json"),
        ("format", "xml", "form-data"),
        ("format", 7, "form-data"),
        ("enabled", "false", False),
        ("enabled", None, True),
        ("include_subaccounts", "TRUE", True),
        ("include_internal_legs", None, True),
    ],
)
def test_old_and_lax_spellings(key: str, stored: Any, read: Any) -> None:
    assert parsed(**{key: stored})[key] == read


@pytest.mark.parametrize("value", [[], "text", 7, None])
def test_what_must_be_an_object_and_is_none_counts_as_missing(value: Any) -> None:
    assert not {"custom_data", "modifiers"} & parsed(custom_data=value, modifiers=value).keys()


def test_the_reason_of_disabling_is_private_in_kazoo() -> None:
    assert (
        parsed(pvt_disabled_message="too many failed attempts")["disable_reason"]
        == "too many failed attempts"
    )
    assert parsed(pvt_disabled_message={"a": 1})["disable_reason"] == "{'a': 1}"
    assert len(parsed(pvt_disabled_message="x" * 5000)["disable_reason"]) < 200


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"_id": 7}, "its _id is not"),
        ({"_id": "a/b"}, "its _id is not"),
        ({"_id": "x\r\nX-Account-ID: b"}, "its _id is not"),
        ({"pvt_account_id": None}, "its pvt_account_id is not"),
        ({"pvt_account_id": ["a"]}, "its pvt_account_id is not"),
        ({"_rev": 3}, "its _rev is no revision"),
        ({"_rev": "1-" + "0" * 100}, "its _rev is no revision"),
        ({"name": "x" * MAX_DOCUMENT_BYTES}, f"it has more than {MAX_DOCUMENT_BYTES} bytes"),
    ],
)
def test_what_cannot_be_used_gets_one_line_in_the_log(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableHook, match=reason.replace("(", "\\(")):
        parse_hook(document() | more)
    with capturedLogs() as logs:
        assert parse_or_log(document() | more) is parse_quietly(document() | more) is None
    (line,) = logs
    assert str(line["reason"]).startswith(reason)
    assert "\n" not in line["hook_id"]


def test_deep_nesting_is_refused() -> None:
    deep: Any = {}
    for _ in range(500):
        deep = {"a": deep}
    with pytest.raises(UnusableHook, match="32 levels"):
        parse_hook(document(custom_data=deep))


def test_other_documents_are_left_out_silently() -> None:
    others = [
        document(pvt_deleted=True),
        document(pvt_deleted="true"),
        document(pvt_type="x"),
        {"_id": "_design/x"},
    ]
    with capturedLogs() as logs:
        assert [parse_or_log(other) for other in others] == [None] * 4
    assert logs == []
    assert [is_live_hook(other) for other in (*others, document())] == [False] * 4 + [True]


@pytest.mark.parametrize("time", ["63667898685", True, -1, 2**60, None, 1.5])
def test_a_time_that_is_none_is_zero(time: Any) -> None:
    assert parse_hook(document(pvt_created=time)).created == 0


def test_ids() -> None:
    assert [is_hook_id(text) for text in (ONE, "my-hook.1", "", "-x", "x" * 65, "a b", "é")] == [
        True,
        True,
        False,
        False,
        False,
        False,
        False,
    ]


def test_a_suspension_holds_while_the_hook_is_disabled_because_of_failures() -> None:
    extras = HookExtras({"ordered": True}, suspension=Suspension(1.0, 2.0))
    failed = parse_hook(document(enabled=False, pvt_disabled_message="too many failed attempts"))
    assert with_extras(failed, extras).suspension == Suspension(1.0, 2.0)
    assert with_extras(failed, extras).document["ordered"] is True
    for more in ({"enabled": False}, {"enabled": True, "pvt_disabled_message": "old"}):
        assert with_extras(parse_hook(document(**more)), extras).suspension is None


def test_back_to_kazoo() -> None:
    public = dict(parse_hook(document(pvt_disabled_message="old")).document) | {"timeout_ms": 1}
    assert own_options(public) == {"timeout_ms": 1}
    written = to_kazoo(public, document(pvt_disabled_message="old"), A, "node@host", 100)
    assert (written["pvt_disabled_message"], written["pvt_modified"], written["pvt_node"]) == (
        "old",
        100,
        "node@host",
    )
    del public["disable_reason"]
    assert "pvt_disabled_message" not in to_kazoo(public, document(pvt_disabled_message="old"), A, "n", 1)
    assert soft_deleted(document(), "n", 5) == document(pvt_deleted=True, pvt_modified=5, pvt_node="n")


def test_no_private_key_comes_from_the_public_document() -> None:
    private = {"pvt_account_id": "b" * 32, "pvt_deleted": True, "_deleted": True, "_attachments": {}}
    written = to_kazoo({"name": "x", **private}, {"_id": "c" * 32}, A, "n", 1)
    assert written["pvt_account_id"] == A
    assert not {"pvt_deleted", "_deleted", "_attachments"} & set(written)
