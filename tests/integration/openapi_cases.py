"""Loaded by schemathesis: turns most of what it makes up into what there is, so that it gets behind the door.

``OPENAPI_STAGE`` is JSON: ``uri``, where hooks may send; ``api_key``; ``known``, the values of path
parameters, by name, the likely ones first; ``doomed``, those to be removed, so that the others stay; and
``answers``, a file that is told of every answer.
"""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path
from typing import Any

import schemathesis

_STAGE = json.loads(os.environ["OPENAPI_STAGE"])

#: One in so many is left as it was made up, and one in so many is another than the first that is known.
_SOME = 8

#: What is more telling of an account below one's own.
_FROM_ABOVE = ("/tree", "/parents", "/configs/webhooks")

_turn = count()


def _place(name: str, value: str) -> str:
    turn = next(_turn)
    known = _STAGE["known"].get(name, [value])
    if turn % _SOME == 0:
        return value
    return str(known[turn // _SOME % len(known)] if turn % _SOME == 1 else known[0])


def _placed(case: Any) -> dict[str, str]:
    """The path's parameters."""
    placed = {name: _place(name, str(value)) for name, value in case.path_parameters.items()}
    last = case.operation.path.rpartition("/")[2].strip("{}")
    if case.method == "DELETE" and last in _STAGE["doomed"] and placed[last] == _STAGE["known"][last][0]:
        placed[last] = _STAGE["doomed"][last]
    if case.operation.path.endswith(_FROM_ABOVE) and next(_turn) % 2:
        placed["account_id"] = _STAGE["known"]["account_id"][1]
    return placed


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if (
        case.meta is None or case.meta.phase.name.value != "stateful"
    ):  # which goes on with what it was answered
        case.path_parameters = _placed(case)
    for name in ("If-Match", "If-None-Match"):
        if next(_turn) % _SOME:
            case.headers.pop(name, None)
    if next(_turn) % 2:
        case.query.clear()  # made-up filters let nothing pass
    data = case.body.get("data") if isinstance(case.body, dict) else None
    for name in ("uri", "api_key"):
        # Nothing is ever sent to hosts that a URI happens to name.
        if isinstance(data, dict) and isinstance(data.get(name), str) and (name == "uri" or next(_turn) % 2):
            data = {**data, name: _STAGE[name]}
            case.body = {**case.body, "data": data}


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    said: Any = response.content
    if "/v2/" in case.operation.path and said:
        said = json.loads(said)["data"]
    if case.operation.label.startswith(f"{case.method} "):  # not one that there is not
        with Path(_STAGE["answers"]).open("a") as answers:
            answers.write(json.dumps([case.operation.label, response.status_code, bool(said)]) + "\n")
