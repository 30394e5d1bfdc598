"""Hooks: their documents, their health, samples and secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import (
    GREGORIAN,
    NOT_MODIFIED,
    make_bare_body,
    make_body,
    make_page,
    make_response,
    make_revised_response,
    ref,
)
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES, in_query

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}

_HEALTH: Mapping[str, Any] = {
    "successes": {**_COUNT, "description": "Attempts since the hook was created"},
    "failures": {**_COUNT, "description": "Attempts since the hook was created"},
    "last_success": GREGORIAN,
    "last_failure": GREGORIAN,
    "failures_in_window": {**_COUNT, "description": "The failures that count towards disabling the hook"},
    "deliveries_waiting": _COUNT,
    "deliveries_dead": {**_COUNT, "description": "Deliveries that are given up, and can be replayed"},
    "events_missed": {**_COUNT, "description": "Events that did not reach the hook and are not kept"},
    "missed_by_reason": {"type": "object", "additionalProperties": _COUNT},
    "suspended_since": GREGORIAN,
    "next_probe": GREGORIAN,
    "probes": {**_COUNT, "description": "Probes of the receiver since the hook was suspended"},
}
_ALWAYS_IN_HEALTH = [
    "successes",
    "failures",
    "failures_in_window",
    "deliveries_waiting",
    "deliveries_dead",
    "events_missed",
    "missed_by_reason",
]

_DISABLE_REASON = {"type": "string", "description": "Why the service has disabled the hook"}


_SIGNATURE: Mapping[str, Any] = {
    "signed": {"const": True, "description": "Requests are signed"},
    "signature": {"enum": ["hmac", "ed25519"], "description": "The kind of signature"},
    "public_key": {
        "type": "string",
        "pattern": "^whpk_",
        "description": "Of ed25519: what receivers verify with",
    },
}


def make_schemas(document: Mapping[str, Any], secret_schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas of hooks.

    `document` is the JSON schema that validates hook documents, `secret_schemas` those of the keys about
    secrets.
    """
    rules = document["properties"]
    writable = {**rules, **secret_schemas}
    # Its category may be gone, and earlier releases have accepted other modifiers.
    stored = {**rules, "hook": _TEXT, "modifiers": {**rules["modifiers"], "additionalProperties": True}}
    added = {
        "id": _TEXT,
        "health": ref("Health"),
        "disable_reason": _DISABLE_REASON,
        **_SIGNATURE,
        "secret": {"type": "string", "description": "Only in the answer to the request that set it"},
    }
    always = [*document["required"], *(name for name, rule in rules.items() if "default" in rule)]
    return {
        "HookDocument": {
            **document,
            "description": "Other keys are stored unchanged, except id, auth_token, and keys that begin with "
            '_ or pvt_. Text that stands for a number or a boolean ("2", "true") is converted',
            "properties": writable,
            "additionalProperties": True,
        },
        "HookChanges": {
            "type": "object",
            "description": "Keys to replace in the document, each as a whole; null removes a key",
            "properties": {
                name: rule if name in document["required"] else {"anyOf": [rule, {"type": "null"}]}
                for name, rule in writable.items()
            },
            "additionalProperties": True,
        },
        "Hook": {
            "type": "object",
            "required": ["id", "health", *always],
            "properties": {**stored, **added},
            "additionalProperties": True,
        },
        "ListedHook": {
            "type": "object",
            "required": ["id", "hook", "name", "uri", "enabled"],
            "properties": {
                "id": _TEXT,
                **{name: stored[name] for name in ("hook", "name", "uri", "group", "enabled")},
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
            "required": ["id", "signed", "signature"],
            "properties": {
                "id": _TEXT,
                **_SIGNATURE,
                "secret": {
                    "type": "string",
                    "description": "Of hmac: shown only in this answer. A private key is never shown",
                },
            },
        },
    }


_HOOKS = "/v2/accounts/{account_id}/webhooks"
_HOOK = f"{_HOOKS}/{{hook_id}}"

_LINKED_OPERATIONS = (
    "readHook",
    "replaceHook",
    "changeHook",
    "deleteHook",
    "testHook",
    "rotateSecret",
    "endSigning",
    "listHookAttempts",
)

#: Operations on the hook that `createHook` creates, for clients and tests.
_LINKS = {
    operation: {
        "operationId": operation,
        "parameters": {"account_id": "$request.path.account_id", "hook_id": "$response.body#/data/id"},
    }
    for operation in (*_LINKED_OPERATIONS, "listHookDeliveries", "recoverDeliveries")
}

_EXAMPLE = {
    "data": {
        "name": "Calls to our desk",
        "uri": "https://hooks.example.com/kazoo",
        "hook": "channel_create",
        "format": "json",
    }
}
_DOCUMENT = make_body(ref("HookDocument"), examples={"hook": _EXAMPLE})

_YES = {"enum": [True, "true"]}
_RE_ENABLE = in_query("re-enable", "Like re-enable in the body", {"type": "string", "enum": ["true"]})
_RE_ENABLING: Mapping[str, Any] = {
    "answers": {200: make_response("How many hooks were enabled", {"const": "hooks updated"}, count=_COUNT)},
    "parameters": (_RE_ENABLE,),
    "body": make_bare_body(
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
            "signature": secret_schemas["signature"],
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
        "Sets a new secret or key pair, generated or given; the old one stays valid for a while",
        {201: make_revised_response("The secret", ref("NewSecret"))},
        body=make_body(_make_new_secret(secret_schemas), required=False),
        revised=True,
    )


_OPERATIONS = (
    Operation(
        "get",
        _HOOKS,
        "listHooks",
        "hooks",
        "The account's hooks in short, oldest first",
        {200: make_page("Hooks", ref("ListedHook"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "put",
        _HOOKS,
        "createHook",
        "hooks",
        "Creates a hook",
        {201: {**make_revised_response("The hook", ref("Hook")), "links": _LINKS}},
        body=_DOCUMENT,
    ),
    Operation(
        "patch",
        _HOOKS,
        "enableHooks",
        "hooks",
        "Enables the account's hooks that were disabled because of failures",
        **_RE_ENABLING,
    ),
    Operation(
        "patch",
        "/v2/accounts/{account_id}/descendants/webhooks",
        "enableHooksBelow",
        "hooks",
        "Enables such hooks of the account and of all accounts below it",
        **_RE_ENABLING,
    ),
    Operation(
        "get",
        f"{_HOOKS}/health",
        "listHealth",
        "hooks",
        "The health of each of the account's hooks",
        {200: make_page("With the hooks' ids, oldest hook first", ref("ListedHealth"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "get",
        _HOOK,
        "readHook",
        "hooks",
        "One hook",
        {200: make_revised_response("The hook", ref("Hook")), 304: NOT_MODIFIED},
        revised=True,
    ),
    Operation(
        "post",
        _HOOK,
        "replaceHook",
        "hooks",
        "Replaces the document",
        {200: make_revised_response("The hook", ref("Hook"))},
        body=_DOCUMENT,
        revised=True,
    ),
    Operation(
        "patch",
        _HOOK,
        "changeHook",
        "hooks",
        "Merges keys into the document",
        {200: make_revised_response("The hook", ref("Hook"))},
        body=make_body(ref("HookChanges"), examples={"disable": {"data": {"enabled": False}}}),
        revised=True,
    ),
    Operation(
        "delete",
        _HOOK,
        "deleteHook",
        "hooks",
        "Deletes the hook",
        {200: make_revised_response("The hook as it was", ref("Hook"))},
        revised=True,
    ),
    Operation(
        "post",
        f"{_HOOK}/test",
        "testHook",
        "hooks",
        "Sends a sample to the hook now, enabled or not",
        {200: make_response("The attempt", ref("Attempt"))},
    ),
    Operation(
        "delete",
        f"{_HOOK}/secret",
        "endSigning",
        "hooks",
        "Removes all secrets, so that requests are no longer signed",
        {
            200: make_revised_response(
                "The hook's id", {"type": "object", "required": ["id"], "properties": {"id": _TEXT}}
            )
        },
        revised=True,
    ),
)
