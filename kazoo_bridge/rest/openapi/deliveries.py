"""Attempts at deliveries, and deliveries that wait or were given up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import GREGORIAN, answer, body, page, ref
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES, in_query
from kazoo_bridge.rest.resources.deliveries import STATUSES

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_HEADERS = {"type": "object", "description": "By name, in lower case", "additionalProperties": _TEXT}

SCHEMAS: Mapping[str, Any] = {
    "Attempt": {
        "type": "object",
        "required": [
            "hook_id",
            "hook_event",
            "event_id",
            "method",
            "uri",
            "req_headers",
            "req_body",
            "result",
            "timestamp",
        ],
        "properties": {
            "hook_id": _TEXT,
            "hook_event": {"type": "string", "description": "The hook's own hook"},
            "event_id": {"type": "string", "description": "The same for all attempts at one delivery"},
            "custom_data": {"type": "object", "additionalProperties": True},
            "method": {"enum": ["get", "post", "put"]},
            "uri": _TEXT,
            "url": {
                "type": "string",
                "description": "What was asked for, where that is not uri: of get with the payload",
            },
            "req_headers": _HEADERS,
            "req_body": {"type": "string", "description": "Cut where it is long, as resp_body"},
            "result": {"enum": ["success", "failure"]},
            "reason": {"enum": ["bad response code", "kazoo http client error"]},
            "client_error": {
                "type": "string",
                "description": "What kept an answer from coming, or from being read",
            },
            "resp_status_code": {"type": "string", "pattern": "^[0-9]{3}$"},
            "resp_headers": _HEADERS,
            "resp_body": _TEXT,
            "retries": {**_COUNT, "description": "The hook's quick retries"},
            "retries_left": {"anyOf": [_COUNT, {"const": "retries exceeded"}]},
            "test": {"const": True, "description": "It was a sample that was asked for"},
            "timestamp": GREGORIAN,
        },
    },
    "Delivery": {
        "type": "object",
        "required": [
            "id",
            "hook_id",
            "hook_event",
            "event_id",
            "status",
            "attempts",
            "reason",
            "created",
            "payload",
        ],
        "properties": {
            "id": {"type": "string", "description": "What receivers know as webhook-id"},
            "hook_id": _TEXT,
            "hook_event": {"type": "string", "description": "What happened"},
            "event_id": _TEXT,
            "status": {"enum": ["pending", "held", "dead"], "description": "held: its hook is disabled"},
            "attempts": _COUNT,
            "reason": {"type": "string", "description": "Why it has not arrived"},
            "created": GREGORIAN,
            "next_attempt": GREGORIAN,
            "payload": {"type": "object", "additionalProperties": True},
        },
    },
}

_HOOKS = "/v2/accounts/{account_id}/webhooks"
_HOOK = f"{_HOOKS}/{{hook_id}}"
_STATUS = in_query(
    "status",
    "dead: those that were given up; pending: those that wait",
    {"type": "string", "enum": list(STATUSES), "default": STATUSES[0]},
)
_SINCE = {
    "type": "object",
    "properties": {
        "since": {
            **GREGORIAN,
            "minimum": 0,
            "default": 0,
            "description": "When they were given up, in Gregorian seconds",
        }
    },
}
_RECOVERED = {"type": "object", "required": ["recovered"], "properties": {"recovered": _COUNT}}
_RETRIED = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {"id": _TEXT, "status": {"const": "pending"}},
}


def _attempts(path: str, operation_id: str, whose: str) -> Operation:
    summary = f"Attempts {whose}, newest first"
    return Operation(
        "get",
        f"{path}/attempts",
        operation_id,
        "attempts",
        summary,
        {200: page("Attempts", ref("Attempt"))},
        (*FILTERS, *PAGES),
    )


def _deliveries(path: str, operation_id: str, whose: str) -> Operation:
    summary = f"Deliveries {whose} that wait or were given up, newest first"
    answers = {200: page("Deliveries", ref("Delivery"))}
    return Operation(
        "get", f"{path}/deliveries", operation_id, "deliveries", summary, answers, (_STATUS, *FILTERS, *PAGES)
    )


def _recovery(path: str, operation_id: str, whose: str) -> Operation:
    summary = f"Makes deliveries {whose} again that were given up since a time"
    answers = {202: answer("How many deliveries will be made", _RECOVERED)}
    given = body(_SINCE, examples={"everything": {"data": {"since": 0}}})
    return Operation(
        "post", f"{path}/deliveries/recover", operation_id, "deliveries", summary, answers, body=given
    )


OPERATIONS = (
    _attempts(_HOOKS, "listAttempts", "of all of the account's hooks"),
    _attempts(_HOOK, "listHookAttempts", "of one hook"),
    _deliveries(_HOOKS, "listDeliveries", "of all of the account's hooks"),
    _deliveries(_HOOK, "listHookDeliveries", "of one hook"),
    Operation(
        "post",
        f"{_HOOK}/deliveries/{{delivery_id}}/retry",
        "retryDelivery",
        "deliveries",
        "Makes one delivery again, now",
        {202: answer("It will be made", _RETRIED)},
    ),
    _recovery(_HOOKS, "recoverAllDeliveries", "of all of the account's hooks"),
    _recovery(_HOOK, "recoverDeliveries", "of one hook"),
)
