"""Hooks: their documents, their health, and what can be done with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import (
    GREGORIAN,
    UNCHANGED,
    answer,
    bare_body,
    body,
    page,
    ref,
    revised,
)
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES, in_query

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}

_HEALTH: Mapping[str, Any] = {
    "successes": {**_COUNT, "description": "Attempts, since the hook was made"},
    "failures": {**_COUNT, "description": "Attempts, since the hook was made"},
    "last_success": GREGORIAN,
    "last_failure": GREGORIAN,
    "failures_in_window": {**_COUNT, "description": "What counts for disabling the hook"},
    "deliveries_waiting": _COUNT,
}
_ALWAYS_IN_HEALTH = ["successes", "failures", "failures_in_window", "deliveries_waiting"]

_DISABLE_REASON = {"type": "string", "description": "Why the service has disabled the hook"}


def make_schemas(document: Mapping[str, Any], secret_schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas of hooks, made of that which validates their documents."""
    rules = document["properties"]
    written = {**rules, **secret_schemas}
    kept = {**rules, "hook": _TEXT}  # a category may have gone since
    told = {
        "id": _TEXT,
        "health": ref("Health"),
        "disable_reason": _DISABLE_REASON,
        "signed": {"const": True, "description": "Requests are signed; absent: they are not"},
        "secret": {"type": "string", "description": "Only in the answer to the request that has set it"},
    }
    always = [*document["required"], *(name for name, rule in rules.items() if "default" in rule)]
    return {
        "HookDocument": {
            **document,
            "description": "Other keys are kept as they are, but for id, auth_token and those that begin with _ or pvt_. Text that stands "
            'for a number or a boolean ("2", "true") is taken for it',
            "properties": written,
            "additionalProperties": True,
        },
        "HookChanges": {
            "type": "object",
            "description": "What is merged into the document; null removes a key",
            "properties": {
                name: rule if name in document["required"] else {"anyOf": [rule, {"type": "null"}]}
                for name, rule in written.items()
            },
            "additionalProperties": True,
        },
        "Hook": {
            "type": "object",
            "required": ["id", "health", *always],
            "properties": {**kept, **told},
            "additionalProperties": True,
        },
        "ListedHook": {
            "type": "object",
            "required": ["id", "hook", "name", "uri", "enabled"],
            "properties": {
                "id": _TEXT,
                **{name: kept[name] for name in ("hook", "name", "uri", "group", "enabled")},
                "disable_reason": _DISABLE_REASON,
            },
        },
        "Health": {"type": "object", "required": _ALWAYS_IN_HEALTH, "properties": _HEALTH},
        "ListedHealth": {
            "type": "object",
            "required": ["id", *_ALWAYS_IN_HEALTH],
            "properties": {"id": _TEXT, **_HEALTH},
        },
        "NewSecret": {
            "type": "object",
            "required": ["id", "signed", "secret"],
            "properties": {
                "id": _TEXT,
                "signed": {"const": True},
                "secret": {"type": "string", "description": "Shown this once"},
            },
        },
    }


_HOOKS = "/v2/accounts/{account_id}/webhooks"
_HOOK = f"{_HOOKS}/{{hook_id}}"

_OF_THIS_HOOK = (
    "readHook",
    "replaceHook",
    "changeHook",
    "deleteHook",
    "testHook",
    "rotateSecret",
    "endSigning",
    "listHookAttempts",
)

#: A client, or a test, finds the new hook with these.
_LINKS = {
    operation: {
        "operationId": operation,
        "parameters": {"account_id": "$request.path.account_id", "hook_id": "$response.body#/data/id"},
    }
    for operation in (*_OF_THIS_HOOK, "listHookDeliveries", "recoverDeliveries")
}

_EXAMPLE = {
    "data": {
        "name": "Calls to our desk",
        "uri": "https://hooks.example.com/kazoo",
        "hook": "channel_create",
        "format": "json",
    }
}
_DOCUMENT = body(ref("HookDocument"), examples={"hook": _EXAMPLE})

_YES = {"enum": [True, "true"]}
_RE_ENABLE = in_query("re-enable", "The same as in the body", {"type": "string", "enum": ["true"]})
_RE_ENABLING: Mapping[str, Any] = {
    "answers": {200: answer("How many hooks were enabled", {"const": "hooks updated"}, count=_COUNT)},
    "parameters": (_RE_ENABLE,),
    "body": bare_body(
        {
            "type": "object",
            "properties": {"data": {"type": "object", "properties": {"re-enable": _YES}}, "re-enable": _YES},
            "anyOf": [
                {"required": ["re-enable"]},
                {"required": ["data"], "properties": {"data": {"required": ["re-enable"]}}},
            ],
        },
        required=False,
        examples={"re-enable": {"data": {"re-enable": True}}},
    ),
}


def _make_new_secret(secret_schemas: Mapping[str, Any]) -> dict[str, Any]:
    secret = secret_schemas["secret"]
    return {
        "type": "object",
        "properties": {
            "secret": {**secret, "anyOf": [secret["anyOf"][0], {"const": True}], "default": True},
            "overlap_seconds": secret_schemas["secret_overlap_seconds"],
        },
    }


def make_operations(secret_schemas: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return the operations; `secret_schemas` are the JSON schemas of the keys about secrets."""
    return (*_OPERATIONS, _rotate_secret(secret_schemas))


def _rotate_secret(secret_schemas: Mapping[str, Any]) -> Operation:
    return Operation(
        "post",
        f"{_HOOK}/secret",
        "rotateSecret",
        "hooks",
        "A new secret, made or given; the one before stays valid for a while",
        {201: revised("The secret", ref("NewSecret"))},
        body=body(_make_new_secret(secret_schemas), required=False),
        revised=True,
    )


_OPERATIONS = (
    Operation(
        "get",
        _HOOKS,
        "listHooks",
        "hooks",
        "The account's hooks in short, oldest first",
        {200: page("Hooks", ref("ListedHook"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "put",
        _HOOKS,
        "createHook",
        "hooks",
        "A new hook",
        {201: {**revised("The hook", ref("Hook")), "links": _LINKS}},
        body=_DOCUMENT,
    ),
    Operation(
        "patch",
        _HOOKS,
        "enableHooks",
        "hooks",
        "Enables the account's hooks that were disabled for failures",
        **_RE_ENABLING,
    ),
    Operation(
        "patch",
        "/v2/accounts/{account_id}/descendants/webhooks",
        "enableHooksBelow",
        "hooks",
        "Enables the hooks that were disabled for failures, of the account and all accounts below",
        **_RE_ENABLING,
    ),
    Operation(
        "get",
        f"{_HOOKS}/health",
        "listHealth",
        "hooks",
        "How each of the account's hooks is doing",
        {200: page("By the hooks' ids, oldest first", ref("ListedHealth"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "get",
        _HOOK,
        "readHook",
        "hooks",
        "One hook",
        {200: revised("The hook", ref("Hook")), 304: UNCHANGED},
        revised=True,
    ),
    Operation(
        "post",
        _HOOK,
        "replaceHook",
        "hooks",
        "A whole new document",
        {200: revised("The hook", ref("Hook"))},
        body=_DOCUMENT,
        revised=True,
    ),
    Operation(
        "patch",
        _HOOK,
        "changeHook",
        "hooks",
        "Merges into the document",
        {200: revised("The hook", ref("Hook"))},
        body=body(ref("HookChanges"), examples={"disable": {"data": {"enabled": False}}}),
        revised=True,
    ),
    Operation(
        "delete",
        _HOOK,
        "deleteHook",
        "hooks",
        "Removes it",
        {200: revised("The hook that was", ref("Hook"))},
        revised=True,
    ),
    Operation(
        "post",
        f"{_HOOK}/test",
        "testHook",
        "hooks",
        "Sends a sample to the hook now, enabled or not",
        {200: answer("The attempt", ref("Attempt"))},
    ),
    Operation(
        "delete",
        f"{_HOOK}/secret",
        "endSigning",
        "hooks",
        "Requests are signed no more",
        {200: revised("The hook's id", {"type": "object", "required": ["id"], "properties": {"id": _TEXT}})},
        revised=True,
    ),
)
