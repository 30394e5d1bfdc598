"""Parses clients' messages: one JSON object per frame."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import field, frozen

from kazoo_bridge.json_limits import exceeds_depth, exceeds_values

#: Limits of the name (characters) and metadata (bytes, levels) that a client gives its socket.
MAX_NAME_LENGTH = 256
MAX_METADATA_BYTES = 4096
MAX_METADATA_DEPTH = 16

#: Longest request id, in characters, that is sent back.
MAX_REQUEST_ID_LENGTH = 256

#: Values of a message: objects, lists, and what they contain. Enough for all bindings that fit in a message.
MAX_VALUES = 6000

#: Bytes of a message beyond the rate limit that is still parsed for its request id.
MAX_PEEKED_BYTES = 1024


class BadMessage(Exception):
    """A message cannot be understood; the text is for the client, and says what was expected."""


class UnknownMessage(BadMessage):
    """A message asks for nothing that the server knows: it may only keep a connection alive.

    KAZOO answers such messages of authenticated clients with success (``blackhole_socket_handler``).
    """


@frozen
class ClientMessage:
    """One message.

    `data` holds the action's arguments, whether they came nested (KAZOO 4) or flat (earlier versions).
    `token` may be of any type. `name` and `metadata` are None if the message has none.
    """

    action: str
    request_id: str
    token: Any = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    name: str | None = None
    metadata: Any = None


def to_request_id(value: object) -> str:
    """Return the client's request id as text; a random one if `value` is missing or unusable."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= MAX_REQUEST_ID_LENGTH and value.isprintable():
        return value
    return secrets.token_hex(16)


def peek_request_id(payload: bytes) -> str:
    """Return the request id of a message that is not parsed any further; see `to_request_id`.

    That of a message with more than `MAX_PEEKED_BYTES` is random: reading it would cost as much as the rest.
    """
    if len(payload) > MAX_PEEKED_BYTES:
        return to_request_id(None)
    try:
        return to_request_id(decode(payload).get("request_id"))
    except BadMessage:
        return to_request_id(None)


def decode(payload: bytes) -> Mapping[str, Any]:
    """Decode a frame; returns the JSON object, raises `BadMessage` or `UnknownMessage`."""
    if len(payload) > MAX_VALUES and exceeds_values(payload, MAX_VALUES):
        raise BadMessage(f"the message may have {MAX_VALUES} values at most")
    try:
        value = orjson.loads(payload)
    except ValueError as error:
        raise UnknownMessage(f"the message is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UnknownMessage('the message must be a JSON object, such as {"action": "ping"}')
    return value


def parse(value: Mapping[str, Any]) -> ClientMessage:
    """Parse a decoded message; raises `BadMessage`, and without an action `UnknownMessage`."""
    action = value.get("action")
    if not isinstance(action, str) or not action:
        raise UnknownMessage("missing required keys : action")
    data = value.get("data")
    if data is not None and not isinstance(data, dict):
        raise BadMessage("data must be a JSON object")
    if data is None:
        data = {key: value[key] for key in ("account_id", "binding", "bindings") if key in value}
    name = value.get("name", data.get("name"))
    if name is not None and (not isinstance(name, str) or len(name) > MAX_NAME_LENGTH):
        raise BadMessage(f"name must be a text of at most {MAX_NAME_LENGTH} characters")
    metadata = value.get("metadata", data.get("metadata"))
    # Depth first: orjson cannot encode deeply nested values, and so cannot measure them.
    if metadata is not None and (
        exceeds_depth(metadata, MAX_METADATA_DEPTH) or len(orjson.dumps(metadata)) > MAX_METADATA_BYTES
    ):
        raise BadMessage(
            f"metadata must have at most {MAX_METADATA_BYTES} bytes, and at most {MAX_METADATA_DEPTH} levels"
        )
    request_id, token = to_request_id(value.get("request_id")), value.get("auth_token")
    return ClientMessage(action, request_id, token, data, name, metadata)


def parse_bindings(data: Mapping[str, Any]) -> list[str]:
    """Return the bindings that `data` names, each once: `binding`, else `bindings`; raises `BadMessage`."""
    binding = data.get("binding")
    bindings = [binding] if binding is not None else data.get("bindings", [])
    if not isinstance(bindings, list) or not all(isinstance(item, str) and item for item in bindings):
        raise BadMessage("binding must be a text, bindings a list of texts")
    return list(dict.fromkeys(bindings))
