"""Reads KAZOO's Pivot requests: a query, a form or JSON, with the same parameters.

The sources are ``pivot_call`` of KAZOO's Pivot application, and ``req_params`` of ``kzt_kazoo`` and
``kzt_twiml`` of its translator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from attrs import frozen

from kazoo_bridge.interfaces import KazooRequest, PivotRefused

#: Fields of a form.
MAX_FIELDS = 1000

#: Parameters of one request, items of a parameter, and characters of a name and of a value.
MAX_PARAMETERS, MAX_ITEMS, MAX_NAME, MAX_VALUE = 100, 50, 64, 4096

_NESTED = re.compile(r"(?P<name>[^\[\]]+)\[(?P<key>[^\[\]]*)\]")

#: Keys of the envelope of messages on the bus, which are no parameters.
_RESERVED = frozenset({"app-name", "app-version", "event-category", "event-name", "msg-id", "server-id"})

#: The parameters of ``req_format`` ``twiml``, and what they are called otherwise.
_TWIML_NAMES: Mapping[str, str] = {
    "CallSid": "Call-ID",
    "AccountSid": "Account-ID",
    "FromRealm": "From-Realm",
    "ToRealm": "To-Realm",
    "CallStatus": "Call-Status",
    "ApiVersion": "Api-Version",
    "CallerName": "Caller-ID-Name",
    "CallerNumber": "Caller-ID-Number",
    "RecordingUrl": "Recording-Url",
    "RecordingDuration": "Recording-Duration",
    "RecordingSid": "Recording-ID",
    "TranscriptionSid": "Transcription-ID",
    "TranscriptionText": "Transcription-Text",
    "TranscriptionStatus": "Transcription-Status",
    "TranscriptionUrl": "Transcription-Url",
}


@frozen
class CallParameters:
    """What KAZOO says of a call, under the names of ``req_format`` ``kazoo`` (``Call-ID``).

    `values` are texts, or objects or lists of texts. `wants_twiml`: KAZOO's names are those of TwiML, so that
    an answer may be TwiML, too.
    """

    values: Mapping[str, Any]
    wants_twiml: bool = False

    @classmethod
    def parse(cls, request: KazooRequest) -> CallParameters:
        """Read a request. Its body is a form, or JSON if it begins like an object.

        ``a[b]=c`` becomes an object, ``a[]=c`` a list. Raises `PivotRefused` (400) for a body that is
        neither, and for parameters beyond the bounds.
        """
        values: dict[str, Any] = {}
        wants_twiml = False
        for name, value in [*request.query, *_body_pairs(request.body)]:
            wants_twiml = wants_twiml or name in _TWIML_NAMES
            _add(values, _TWIML_NAMES.get(name, name), value)
        return cls(values, wants_twiml)

    @property
    def call_id(self) -> str | None:
        """The id of the call; None if KAZOO has sent none."""
        value = self.values.get("Call-ID")
        return value if isinstance(value, str) and value else None


def _body_pairs(body: bytes) -> Iterable[tuple[str, str]]:
    stripped = body.strip()
    if stripped.startswith(b"{"):
        return _json_pairs(stripped)
    try:
        return parse_qsl(
            stripped.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise PivotRefused(400, "the body is not UTF-8") from None
    except ValueError:
        raise PivotRefused(400, f"the body is no form with at most {MAX_FIELDS} fields") from None


def _json_pairs(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a JSON object as a form has them."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PivotRefused(400, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise PivotRefused(400, "the body is JSON, but no object")
    for name, value in document.items():
        if isinstance(value, dict):
            yield from ((f"{name}[{key}]", _to_text(item)) for key, item in value.items())
        elif isinstance(value, list):
            yield from ((f"{name}[]", _to_text(item)) for item in value)
        elif value is not None:
            yield name, _to_text(value)


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _add(parameters: dict[str, Any], name: str, value: str) -> None:
    nested = _NESTED.fullmatch(name)
    own_name, key = (nested["name"], nested["key"]) if nested else (name, None)
    if own_name.lower() in _RESERVED:
        return
    if max(len(own_name), len(key or "")) > MAX_NAME or len(value) > MAX_VALUE:
        raise PivotRefused(
            400, f"the name of a parameter has more than {MAX_NAME} characters, or its value {MAX_VALUE}"
        )
    if key is None:
        parameters[own_name] = value
    else:
        _add_item(parameters.setdefault(own_name, {} if key else []), key, value)
    if len(parameters) > MAX_PARAMETERS:
        raise PivotRefused(400, f"the request has more than {MAX_PARAMETERS} parameters")


def _add_item(items: Any, key: str, value: str) -> None:
    """Add an item to a parameter; ignores one that does not fit to those before."""
    if isinstance(items, dict):
        items[key] = value
    elif isinstance(items, list):
        items.append(value)
    if not isinstance(items, str) and len(items) > MAX_ITEMS:
        raise PivotRefused(400, f"a parameter of the request has more than {MAX_ITEMS} items")
