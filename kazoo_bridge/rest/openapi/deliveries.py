"""Attempts, and deliveries that wait or are dead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import GREGORIAN, make_body, make_page, make_response, ref
from kazoo_bridge.rest.openapi.operations import Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES, in_query
from kazoo_bridge.rest.resources.deliveries import STATUSES

_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_HEADERS = {"type": "object", "description": "By name, in lower case", "additionalProperties": _TEXT}
_TRUNCATED = {
    "type": "array",
    "items": _TEXT,
    "minItems": 1,
    "description": "The keys of which a part is missing, because they are large",
}

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
            "id": {"type": "string", "description": "For a replay; not in the answer to a test"},
            "hook_id": _TEXT,
            "hook_event": {"type": "string", "description": "The `hook` of the hook's document"},
            "event_id": {"type": "string", "description": "The same for all attempts of one delivery"},
            "event": {"type": "string", "description": "The type of the event, also if the hook is for all"},
            "call_id": {"type": "string", "description": "The call that the event is about"},
            "attempt": {"type": "integer", "minimum": 1, "description": "Counts the attempts at a delivery"},
            "max_attempts": {**_COUNT, "description": "How many are made at most"},
            "duration_ms": {**_COUNT, "description": "How long the request and its answer took"},
            "custom_data": {"type": "object", "additionalProperties": True},
            "method": {"enum": ["get", "post", "put"]},
            "uri": _TEXT,
            "url": {
                "type": "string",
                "description": "The requested URL if it differs from uri: of get, with the payload",
            },
            "req_headers": _HEADERS,
            "req_body": {"type": "string", "description": "Truncated if it is long, like resp_body"},
            "result": {"enum": ["success", "failure"]},
            "reason": {"enum": ["bad response code", "kazoo http client error"]},
            "client_error": {
                "type": "string",
                "description": "Why no answer arrived, or could be read",
            },
            "resp_status_code": {"type": "string", "pattern": "^[0-9]{3}$"},
            "response_code": {
                "type": "string",
                "pattern": "^[0-9]{3}$",
                "description": "The same as resp_status_code",
            },
            "resp_headers": _HEADERS,
            "resp_body": _TEXT,
            "retries": {**_COUNT, "description": "The hook's quick retries"},
            "retries_left": {"anyOf": [_COUNT, {"const": "retries exceeded"}]},
            "test": {"const": True, "description": "The attempt was a sample"},
            "truncated": _TRUNCATED,
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
            "id": {"type": "string", "description": "The webhook-id that receivers get"},
            "hook_id": _TEXT,
            "hook_event": {"type": "string", "description": "The type of the event"},
            "event_id": _TEXT,
            "status": {
                "enum": ["pending", "held", "dead"],
                "description": "held: the hook is suspended or disabled",
            },
            "attempts": _COUNT,
            "reason": {"type": "string", "description": "Why the latest attempt failed"},
            "created": GREGORIAN,
            "next_attempt": GREGORIAN,
            "payload": {"type": "object", "additionalProperties": True},
            "truncated": _TRUNCATED,
        },
    },
}

_HOOKS = "/v2/accounts/{account_id}/webhooks"
_HOOK = f"{_HOOKS}/{{hook_id}}"
_STATUS = in_query(
    "status",
    "pending: deliveries that wait; dead: deliveries that were given up",
    {"type": "string", "enum": list(STATUSES), "default": STATUSES[0]},
)
_SINCE = {
    "type": "object",
    "properties": {
        "since": {
            **GREGORIAN,
            "minimum": 0,
            "default": 0,
            "description": "Only deliveries that died then or later, in Gregorian seconds",
        }
    },
}
_RECOVERED = {"type": "object", "required": ["recovered"], "properties": {"recovered": _COUNT}}
_RETRIED = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {"id": _TEXT, "status": {"const": "pending"}},
}


def _attempts(path: str, operation_id: str, scope: str) -> Operation:
    summary = f"Attempts {scope}, newest first"
    return Operation(
        "get",
        f"{path}/attempts",
        operation_id,
        "attempts",
        summary,
        {200: make_page("Attempts", ref("Attempt"))},
        (*FILTERS, *PAGES),
    )


def _replay(path: str, operation_id: str, scope: str) -> Operation:
    return Operation(
        "post",
        f"{path}/attempts/{{attempt_id}}/replay",
        operation_id,
        "attempts",
        f"Makes the delivery of an attempt {scope} again, with the same webhook-id, delivered or not",
        {202: make_response("The delivery, which is due now", ref("Delivery"))},
        refusals=(409,),
    )


def _deliveries(path: str, operation_id: str, scope: str) -> Operation:
    summary = f"Deliveries {scope} that wait or are dead, newest first"
    answers = {200: make_page("Deliveries", ref("Delivery"))}
    return Operation(
        "get", f"{path}/deliveries", operation_id, "deliveries", summary, answers, (_STATUS, *FILTERS, *PAGES)
    )


def _recovery(path: str, operation_id: str, scope: str, refusals: tuple[int, ...] = ()) -> Operation:
    summary = f"Attempts dead deliveries {scope} again that died since a time"
    answers = {202: make_response("How many deliveries will be attempted", _RECOVERED)}
    given = make_body(_SINCE, examples={"everything": {"data": {"since": 0}}})
    return Operation(
        "post",
        f"{path}/deliveries/recover",
        operation_id,
        "deliveries",
        summary,
        answers,
        body=given,
        refusals=refusals,
    )


OPERATIONS = (
    _attempts(_HOOKS, "listAttempts", "of all hooks of the account"),
    _attempts(_HOOK, "listHookAttempts", "of one hook"),
    _replay(_HOOKS, "replayAttempt", "to any hook of the account"),
    _replay(_HOOK, "replayHookAttempt", "to one hook"),
    _deliveries(_HOOKS, "listDeliveries", "of all hooks of the account"),
    _deliveries(_HOOK, "listHookDeliveries", "of one hook"),
    Operation(
        "post",
        f"{_HOOK}/deliveries/{{delivery_id}}/retry",
        "retryDelivery",
        "deliveries",
        "Attempts one delivery again, now",
        {202: make_response("The delivery is due now", _RETRIED)},
        refusals=(409,),
    ),
    _recovery(_HOOKS, "recoverAllDeliveries", "of all enabled hooks of the account"),
    _recovery(_HOOK, "recoverDeliveries", "of one hook", (409,)),
)
