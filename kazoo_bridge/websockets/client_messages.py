"""What clients send: one JSON object per frame, read into values that can be trusted."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import field, frozen

from kazoo_bridge.json_limits import exceeds_depth

#: Of names and metadata that clients give their sockets.
MAX_NAME_LENGTH = 256
MAX_METADATA_BYTES = 4096
MAX_METADATA_DEPTH = 16
_MAX_REQUEST_ID_LENGTH = 256


class BadMessage(Exception):
    """A frame that cannot be understood; the text says what was expected."""


@frozen
class ClientMessage:
    """One message. `data` holds what the action is about, whether it came nested (KAZOO 4) or flat (before)."""

    action: str
    request_id: str
    token: Any = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    name: str | None = None
    metadata: Any = None


def request_id_of(value: object) -> str:
    """The client's own id for its request, or a random one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= _MAX_REQUEST_ID_LENGTH and value.isprintable():
        return value
    return secrets.token_hex(16)


def request_id_in(payload: bytes) -> str:
    """The id of a request that is not looked at any further."""
    try:
        return request_id_of(decode(payload).get("request_id"))
    except BadMessage:
        return request_id_of(None)


def decode(payload: bytes) -> Mapping[str, Any]:
    """The object in a frame; raises `BadMessage`."""
    try:
        value = orjson.loads(payload)
    except ValueError as error:
        raise BadMessage(f"the message is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadMessage('the message must be a JSON object, such as {"action": "ping"}')
    return value


def parse(value: Mapping[str, Any]) -> ClientMessage:
    """A message of an object; raises `BadMessage`."""
    action = value.get("action")
    if not isinstance(action, str) or not action:
        raise BadMessage("missing required keys : action")
    data = value.get("data")
    if data is not None and not isinstance(data, dict):
        raise BadMessage("data must be a JSON object")
    if data is None:
        data = {key: value[key] for key in ("account_id", "binding", "bindings") if key in value}
    name = value.get("name", data.get("name"))
    if name is not None and (not isinstance(name, str) or len(name) > MAX_NAME_LENGTH):
        raise BadMessage(f"name must be a text of at most {MAX_NAME_LENGTH} characters")
    metadata = value.get("metadata", data.get("metadata"))
    # Measured second: deeper values than JSON is written with cannot be measured.
    if metadata is not None and (
        exceeds_depth(metadata, MAX_METADATA_DEPTH) or len(orjson.dumps(metadata)) > MAX_METADATA_BYTES
    ):
        raise BadMessage(
            f"metadata must have at most {MAX_METADATA_BYTES} bytes, and at most {MAX_METADATA_DEPTH} levels"
        )
    return ClientMessage(
        action, request_id_of(value.get("request_id")), value.get("auth_token"), data, name, metadata
    )


def requested_bindings(data: Mapping[str, Any]) -> list[str]:
    """The bindings that a message names: `binding`, or else `bindings`; raises `BadMessage`."""
    binding = data.get("binding")
    bindings = [binding] if binding is not None else data.get("bindings", [])
    if not isinstance(bindings, list) or not all(isinstance(one, str) and one for one in bindings):
        raise BadMessage("binding must be a text, bindings a list of texts")
    return list(dict.fromkeys(bindings))
