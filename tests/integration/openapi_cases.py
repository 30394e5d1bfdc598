"""Hooks for schemathesis: replace most generated values by existing ones, so that requests pass validation.

``OPENAPI_DATA`` is JSON: ``uri``, where hooks may send; ``api_key``; ``known``, the existing values of path
parameters by name, the usual one first; ``doomed``, values to be deleted in place of these; and ``answers``,
a file to which a line is added for every answer.
"""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path
from typing import Any

import schemathesis

_DATA = json.loads(os.environ["OPENAPI_DATA"])

#: One in so many values stays as it was generated, and one in so many is another than the usual one.
_EXCEPTION_RATIO = 8

#: Operations that say more about an account below the token's own.
_FOR_CHILD_ACCOUNT = ("/tree", "/parents", "/configs/webhooks")

#: Operations whose documents are accounts.
_ACCOUNTS = ("/v2/accounts", "/v2/accounts/{account_id}")

_counter = count()

#: Operations that have succeeded with data. Until then the usual values are chosen, and none by chance.
_succeeded: set[str] = set()


def _choose_value(name: str, value: str, *, usual: bool) -> str:
    number = next(_counter)
    known = _DATA["known"].get(name, [value])
    if usual:
        return str(known[0])
    if number % _EXCEPTION_RATIO == 0:
        return value
    return str(known[number // _EXCEPTION_RATIO % len(known)] if number % _EXCEPTION_RATIO == 1 else known[0])


def _choose_path_parameters(case: Any) -> dict[str, str]:
    """Return the path's parameters."""
    usual = case.operation.label not in _succeeded
    chosen = {
        name: _choose_value(name, str(value), usual=usual) for name, value in case.path_parameters.items()
    }
    last = case.operation.path.rpartition("/")[2].strip("{}")
    if case.method == "DELETE" and last in _DATA["doomed"] and chosen[last] == _DATA["known"][last][0]:
        chosen[last] = _DATA["doomed"][last]
    door_point_id = _DATA["known"]["door_point_id"][0]
    if case.operation.path.endswith("/{secret}"):
        chosen["pivot_point_id"] = door_point_id
    elif chosen.get("pivot_point_id") == door_point_id:  # from an answer: its URL must stay what it is
        chosen["pivot_point_id"] = _DATA["known"]["pivot_point_id"][0]
    if case.method == "DELETE" and last == "account_id":
        chosen[last] = _DATA["doomed"][last]
    if case.method == "PUT" and last == "api_key":  # the logins of other operations need the usual one's
        chosen["account_id"] = _DATA["known"]["account_id"][1]
    if case.operation.path.endswith(_FOR_CHILD_ACCOUNT) and (usual or next(_counter) % 2):
        chosen["account_id"] = _DATA["known"]["account_id"][1]
    return chosen


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if (
        case.meta is None or case.meta.phase.name.value != "stateful"
    ):  # which uses the answers of earlier steps
        case.path_parameters = _choose_path_parameters(case)
    for name in ("If-Match", "If-None-Match"):
        if next(_counter) % _EXCEPTION_RATIO:
            case.headers.pop(name, None)
    if case.operation.label not in _succeeded or next(_counter) % 2:
        case.query.clear()  # generated filters accept nothing
    data = case.body.get("data") if isinstance(case.body, dict) else None
    if case.operation.path in _ACCOUNTS and isinstance(data, dict) and next(_counter) % 4:
        data |= {"name": "Solberg Instruments"}
        data.pop("realm", None)
    if case.operation.path.endswith("/pivots") and isinstance(data, dict) and next(_counter) % 2:
        data["name"] = f"point-{next(_counter)}"
    for name in ("uri", "api_key"):
        # Nothing may be sent to the hosts of generated URIs.
        if (
            isinstance(data, dict)
            and isinstance(data.get(name), str)
            and (name == "uri" or next(_counter) % 2)
        ):
            data = {**data, name: _DATA[name]}
            case.body = {**case.body, "data": data}


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    content: Any = response.content
    if "/v2/" in case.operation.path and content:
        content = json.loads(content)["data"]
    if response.status_code < 300 and content:
        _succeeded.add(case.operation.label)
    if case.operation.label.startswith(f"{case.method} "):  # not an unknown method
        with Path(_DATA["answers"]).open("a") as answers:
            answers.write(json.dumps([case.operation.label, response.status_code, bool(content)]) + "\n")
