"""Pivot points, the requests to them, and the URL that KAZOO requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.rest.openapi.envelopes import (
    GREGORIAN,
    NOT_MODIFIED,
    make_body,
    make_page,
    make_response,
    make_revised_response,
    ref,
)
from kazoo_bridge.rest.openapi.operations import Access, Operation
from kazoo_bridge.rest.openapi.parameters import FILTERS, PAGES

_TEXT = {"type": "string"}

_FLOW = {
    "type": "object",
    "required": ["module"],
    "properties": {
        "module": {"type": "string", "description": "An action of KAZOO's callflows"},
        "data": {"type": "object"},
        "children": {"type": "object", "additionalProperties": ref("Flow")},
    },
    "additionalProperties": True,
}

_TWIML = {"type": "string", "description": "Where KAZOO asks for TwiML, instead of a flow"}


def make_schemas(pivot_document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas; `pivot_document` is the schema that validates documents."""
    given = {**pivot_document["properties"], "fallback": ref("Flow")}
    return {
        "Flow": _FLOW,
        "PivotDocument": {**pivot_document, "properties": given, "additionalProperties": True},
        "Pivot": {
            "type": "object",
            "required": ["id", "url", "cdr_url", "name"],
            "properties": {
                **given,
                "id": _TEXT,
                "url": {"type": "string", "description": "What KAZOO's Pivot requests. It is a secret"},
                "cdr_url": {"type": "string", "description": "Where KAZOO posts the CDR of the call"},
                "created": GREGORIAN,
                "modified": GREGORIAN,
            },
        },
        "ListedPivot": {
            "type": "object",
            "required": ["id", "name", "strategy", "timeout_ms", "enabled"],
            "properties": {
                "id": _TEXT,
                **{name: given[name] for name in ("name", "strategy", "timeout_ms", "enabled")},
            },
        },
        "PivotRequest": {
            "type": "object",
            "required": ["pivot_id", "timestamp", "result", "duration_ms", "clients_asked", "request"],
            "properties": {
                "pivot_id": _TEXT,
                "timestamp": GREGORIAN,
                "result": {
                    "enum": ["answered", "no_client", "timeout", "stopped", "gone"],
                    "description": "answered, or why the fallback was used; gone: KAZOO did not wait",
                },
                "duration_ms": {"type": "number"},
                "clients_asked": {"type": "integer"},
                "request": {"type": "object", "description": "What KAZOO has sent, with lower-case names"},
                "answered_by": {"type": "object"},
                "flow": ref("Flow"),
                "twiml": _TEXT,
            },
        },
    }


_PIVOTS = "/v2/accounts/{account_id}/pivots"
_PIVOT = f"{_PIVOTS}/{{pivot_point_id}}"
_DOOR = "/pivot/{pivot_point_id}/{secret}"

_EXAMPLE = {"data": {"name": "front-desk", "fallback": {"module": "callflow", "data": {"id": "a" * 32}}}}
_DOCUMENT = make_body(ref("PivotDocument"), examples={"pivot": _EXAMPLE})
_ANSWER = make_body(
    {
        "type": "object",
        "properties": {
            "flow": ref("Flow"),
            "twiml": _TWIML,
            "name": {"type": "string", "description": "Who answers, for the other clients"},
        },
    },
    examples={"hangup": {"data": {"flow": {"module": "hangup"}}}},
)
_REPLY = {
    "description": "The answer of a client, or the fallback; empty: Pivot ends",
    "content": {
        "application/json": {"schema": ref("Flow")},
        "text/xml": {"schema": _TEXT},
        "text/plain": {"schema": {"type": "string", "maxLength": 0}},
    },
}
_LINKED = ("readPivot", "replacePivot", "changePivot", "deletePivot", "renewPivot", "listPivotRequests")
_LINKS = {
    operation: {
        "operationId": operation,
        "parameters": {
            "account_id": "$request.path.account_id",
            "pivot_point_id": "$response.body#/data/id",
        },
    }
    for operation in _LINKED
}
_CREATED = {**make_revised_response("The pivot point", ref("Pivot")), "links": _LINKS}


def _revised(method: str, operation: str, summary: str, **more: Any) -> Operation:
    answers = {200: make_revised_response("The pivot point", ref("Pivot"))}
    if method == "get":
        answers[304] = dict(NOT_MODIFIED)
    return Operation(method, _PIVOT, operation, "pivots", summary, answers, revised=True, **more)


def _door(method: str, path: str, operation: str, summary: str, **more: Any) -> Operation:
    return Operation(
        method,
        path,
        operation,
        "pivots",
        summary,
        {200: _REPLY},
        access=Access.ANY_CLIENT,
        refusals=(403, 404),
        **more,
    )


OPERATIONS = (
    Operation(
        "get",
        _PIVOTS,
        "listPivots",
        "pivots",
        "The account's pivot points, by the second of their creation, without their URLs",
        {200: make_page("The pivot points", ref("ListedPivot"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "put",
        _PIVOTS,
        "createPivot",
        "pivots",
        "Creates a pivot point",
        {201: _CREATED},
        body=_DOCUMENT,
    ),
    _revised("get", "readPivot", "One pivot point, with its URL"),
    _revised("post", "replacePivot", "Replaces a pivot point's document", body=_DOCUMENT),
    _revised(
        "patch",
        "changePivot",
        "Replaces keys of a pivot point's document; null removes a key",
        body=make_body({"type": "object"}, examples={"slower": {"data": {"timeout_ms": 5000}}}),
    ),
    _revised("delete", "deletePivot", "Deletes a pivot point"),
    Operation(
        "post",
        f"{_PIVOT}/secret",
        "renewPivot",
        "pivots",
        "Renews the secret in the URL; the former URL ends at once",
        {201: make_revised_response("The pivot point", ref("Pivot"))},
        revised=True,
    ),
    Operation(
        "get",
        f"{_PIVOT}/requests",
        "listPivotRequests",
        "pivots",
        "The latest requests of KAZOO to the pivot point, newest first",
        {200: make_page("The requests", ref("PivotRequest"))},
        (*FILTERS, *PAGES),
    ),
    Operation(
        "post",
        f"{_PIVOT}/requests/{{pivot_id}}",
        "answerPivotRequest",
        "pivots",
        "Answers a request that waits",
        {
            200: make_response(
                "KAZOO has received the answer", {"type": "object", "properties": {"pivot_id": _TEXT}}
            )
        },
        body=_ANSWER,
        refusals=(410,),
    ),
    _door("get", _DOOR, "askPivotByQuery", "What KAZOO's Pivot requests; the parameters are its own"),
    _door("post", _DOOR, "askPivot", "The same with a form or JSON"),
    _door("post", f"{_DOOR}/cdr", "endPivot", "Takes the CDR of a call"),
)
