"""What is sent to clients: replies, and events that are encoded once for everybody who gets them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson

_TEXT = 0x81
_COMPRESSED_TEXT = 0xC1

#: Shorter texts do not get much shorter.
COMPRESS_FROM = 256

#: What a flushed deflate stream ends with, and permessage-deflate leaves out.
_TAIL = b"\x00\x00\xff\xff"


def text_frame(text: bytes, *, deflate: bool = False) -> bytes:
    """One whole websocket frame from the server; `deflate` when permessage-deflate has been negotiated.

    Each is compressed by itself, so that one frame fits every socket.
    """
    if not deflate or len(text) < COMPRESS_FROM:
        return _frame_head(_TEXT, len(text)) + text
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)
    return _frame_head(_COMPRESSED_TEXT, len(packed)) + packed


def _frame_head(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    return (
        struct.pack("!BBH", first, 126, length) if length < 65536 else struct.pack("!BBQ", first, 127, length)
    )


def encode(value: Any) -> bytes:
    """JSON; what orjson refuses (whole numbers beyond 64 bits) is written as text."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)


def reply(request_id: str, status: str, data: Mapping[str, Any]) -> bytes:
    """An answer to one of the client's messages, as text."""
    return encode({"action": "reply", "request_id": request_id, "status": status, "data": data})


def event_prefix(subscribed_key: str, subscription_key: str) -> bytes:
    """The part of an event's text that is the same for all events of a subscription."""
    return encode(
        {"action": "event", "subscribed_key": subscribed_key, "subscription_key": subscription_key}
    )[:-1]


def event_content(name: str, routing_key: str, data: Any) -> bytes:
    """The part of an event's text that is the same for all subscriptions."""
    return b"," + encode({"name": name, "routing_key": routing_key, "data": data})[1:-1]


class EventFrame:
    """One event for everybody with the same subscription. Each form is made when the first needs it, and only once.

    `sequence` grows with every frame of the node; clients that can resume are shown it.
    """

    __slots__ = ("_content", "_frames", "_prefix", "_texts", "sequence", "subscribed_key")

    def __init__(self, subscribed_key: str, prefix: bytes, content: bytes, sequence: int) -> None:
        self.subscribed_key = subscribed_key
        self.sequence = sequence
        self._prefix = prefix
        self._content = content
        self._texts: dict[bool, bytes] = {}
        self._frames: dict[tuple[bool, bool], bytes] = {}

    def text(self, sequenced: bool) -> bytes:
        """The JSON, with the sequence or without."""
        text = self._texts.get(sequenced)
        if text is None:
            end = b',"sequence":%d}' % self.sequence if sequenced else b"}"
            text = self._texts[sequenced] = self._prefix + self._content + end
        return text

    def frame(self, sequenced: bool, deflate: bool) -> bytes:
        """The websocket frame."""
        form = (sequenced, deflate)
        frame = self._frames.get(form)
        if frame is None:
            frame = self._frames[form] = text_frame(self.text(sequenced), deflate=deflate)
        return frame


#: Makes the wire form of an event for one outlet.
EventEncoder = Callable[[EventFrame], bytes]
