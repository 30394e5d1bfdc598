"""Encodes what the server sends: replies, and events, each of which is encoded once for all its receivers."""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import orjson

from kazoo_bridge.json_writer import write_json

#: First byte of a frame: FIN, RSV1 if compressed, opcode "text" (RFC 6455 section 5.2, RFC 7692).
_TEXT, _COMPRESSED_TEXT = 0x81, 0xC1

#: Deflate does not shorten texts of fewer bytes by much.
MIN_COMPRESSED_BYTES = 256

#: The end of a flushed deflate stream, which permessage-deflate omits (RFC 7692 section 7.2.1).
_DEFLATE_TAIL = b"\x00\x00\xff\xff"


class CloseCode(IntEnum):
    """Why the server closes a websocket. RFC 6455 leaves the codes from 4000 to applications."""

    IDLE = 1000
    GOING_AWAY = 1001
    INTERNAL_ERROR = 1011
    OVERLOADED = 1013
    UNAUTHENTICATED = 4401
    CLOSED_BY_OPERATOR = 4403
    AUTHENTICATION_TIMEOUT = 4408
    RESUMED_ELSEWHERE = 4409
    TOO_MANY = 4429


def text_frame(text: bytes, *, deflate: bool = False) -> bytes:
    """Encode a websocket frame from the server (unmasked).

    `text` is UTF-8. `deflate`: the client has negotiated permessage-deflate. A frame is compressed without
    context of earlier ones, so that the same bytes serve every client.
    """
    if not deflate or len(text) < MIN_COMPRESSED_BYTES:
        return _frame_header(_TEXT, len(text)) + text
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    compressed = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
    compressed = compressed.removesuffix(_DEFLATE_TAIL)
    return _frame_header(_COMPRESSED_TEXT, len(compressed)) + compressed


def _frame_header(first_byte: int, length: int) -> bytes:
    if length < 126:
        return bytes((first_byte, length))
    if length < 65536:
        return struct.pack("!BBH", first_byte, 126, length)
    return struct.pack("!BBQ", first_byte, 127, length)


def encode_json(value: Any) -> bytes:
    """Encode JSON. Keys of other types become strings, and so do values that JSON has no form for."""
    return write_json(value, default=str, option=orjson.OPT_NON_STR_KEYS)


def encode_reply(request_id: str, status: str, data: Mapping[str, Any]) -> bytes:
    """Encode the reply to a client's message; `status` is ``success`` or ``error``."""
    return encode_json({"action": "reply", "request_id": request_id, "status": status, "data": data})


def encode_notice(errors: list[str], **more: Any) -> bytes:
    """Encode an error that answers no message: a reply with a random request id.

    `more` stands beside `errors` in the reply's data.
    """
    return encode_reply(secrets.token_hex(16), "error", {"errors": errors, **more})


def event_prefix(subscribed_key: str, subscription_key: str) -> bytes:
    """Encode the beginning of an event's text, which all events of a subscription share."""
    return encode_json(
        {"action": "event", "subscribed_key": subscribed_key, "subscription_key": subscription_key}
    )[:-1]


def event_content(name: str, routing_key: str, data: Any) -> bytes:
    """Encode the rest of an event's text, which all subscriptions share."""
    return b"," + encode_json({"name": name, "routing_key": routing_key, "data": data})[1:-1]


class EventFrame:
    """One event for all clients with the same subscription. Each encoding is made on first use and kept.

    `subscribed_key` is the client's binding. `prefix` and `content` are the results of `event_prefix` and
    `event_content`. `sequence` increases with every frame of the node; clients that can resume receive it.
    `holders` has the number of sessions that store the event for resuming, by account.
    """

    __slots__ = ("_content", "_frames", "_prefix", "_texts", "holders", "sequence", "subscribed_key")

    def __init__(self, subscribed_key: str, prefix: bytes, content: bytes, sequence: int) -> None:
        self.subscribed_key = subscribed_key
        self.sequence = sequence
        self.holders: dict[str, int] = {}
        self._prefix = prefix
        self._content = content
        self._texts: dict[bool, bytes] = {}
        self._frames: dict[tuple[bool, bool], bytes] = {}

    @property
    def size(self) -> int:
        """The bytes of the text, without a sequence."""
        return len(self._prefix) + len(self._content)

    def forget_encodings(self) -> None:
        """Free what is made on first use: the event is delivered, and only stored from now on."""
        self._texts.clear()
        self._frames.clear()

    def text(self, sequenced: bool) -> bytes:
        """Return the JSON; `sequenced`: with the sequence."""
        text = self._texts.get(sequenced)
        if text is None:
            end = b',"sequence":%d}' % self.sequence if sequenced else b"}"
            text = self._texts[sequenced] = self._prefix + self._content + end
        return text

    def frame(self, sequenced: bool, deflate: bool) -> bytes:
        """Return the websocket frame of `text`; `deflate` as for `text_frame`."""
        encoding = (sequenced, deflate)
        frame = self._frames.get(encoding)
        if frame is None:
            frame = self._frames[encoding] = text_frame(self.text(sequenced), deflate=deflate)
        return frame
