"""Frames out: bytes of methods, acknowledgements and messages; and txAMQP's codec, corrected."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from txamqp.codec import Codec
from txamqp.connection import Body, Frame, Header, Heartbeat, Method

from kazoo_bridge.bus.amqp.wire.errors import FrameError
from kazoo_bridge.bus.amqp.wire.field_table import (
    decode_table,
    encode_table,
    long_string,
    short_string,
    text_or_bytes,
    utf8,
)

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
#: Octets around a frame's payload: type, channel, size before it and the end octet after it.
OVERHEAD = 8

HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

_HEAD = struct.Struct("!BHI")
_SETTLE = struct.Struct("!BHIHHQBB")
_CONTENT = struct.Struct("!HHQ")
_BASIC = 60
_ACK, _REJECT, _NACK = 80, 90, 120


class FrameCodec(Codec):  # type: ignore[misc] # txAMQP has no types
    """txAMQP's codec, with strings measured in bytes, tables of every field type, and no short reads."""

    def read(self, n: int) -> bytes:
        """Return exactly `n` bytes. Raises FrameError when there are fewer."""
        data: bytes = self.stream.read(n)
        if len(data) < n:
            raise FrameError("a frame's payload is cut short")
        return data

    def encode_shortstr(self, s: str | bytes) -> None:
        """Write a text of at most 255 bytes in UTF-8."""
        self.write(short_string(s))

    def decode_shortstr(self) -> str:
        """Read such a text."""
        return self.read(self.decode_octet()).decode("utf-8", "replace")

    def encode_longstr(self, s: str | bytes | Mapping[str, Any]) -> None:
        """Write a text or bytes of any length, or a table, which txAMQP passes in the same way."""
        self.write(encode_table(s) if isinstance(s, Mapping) else long_string(s))

    def decode_longstr(self) -> str | bytes:
        """Read a text, or bytes that are not UTF-8."""
        return text_or_bytes(self.read(self.decode_long()))

    def encode_table(self, tbl: Mapping[str, Any]) -> None:
        """Write a field table."""
        self.write(encode_table(tbl))

    def decode_table(self) -> dict[str, Any]:
        """Read a field table."""
        size = self.read(4)
        table, _ = decode_table(size + self.read(int.from_bytes(size, "big")))
        return table


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Return a complete frame of a kind (`METHOD`, …) on a channel."""
    return b"%b%b\xce" % (_HEAD.pack(kind, channel, len(payload)), payload)


def pack(item: Frame) -> bytes:
    """Return one of txAMQP's frames as bytes. Raises FieldError for a value that AMQP cannot carry."""
    payload = item.payload
    if isinstance(payload, Heartbeat):
        return HEARTBEAT_FRAME
    if isinstance(payload, Method):
        return frame(METHOD, item.channel, method_payload(payload.method, payload.args))
    if isinstance(payload, Header):
        return frame(HEADER, item.channel, header_payload(payload.klass, payload.size, payload.properties))
    if isinstance(payload, Body):
        return frame(BODY, item.channel, utf8(payload.content))
    raise FrameError(f"a frame of type {payload.type!r} cannot be sent")


def unpack(spec: Any, data: bytes) -> Frame:
    """Return a complete frame as txAMQP's object; bodies are bytes. Raises FrameError, FieldError."""
    kind, channel, size = _HEAD.unpack_from(data)
    payload = data[7 : 7 + size]
    if kind == HEARTBEAT:
        return Frame(channel, Heartbeat())
    if kind == BODY:
        return Frame(channel, Body(payload))
    try:
        if kind == METHOD:
            return Frame(channel, _read_method(spec, payload))
        if kind == HEADER:
            return Frame(channel, _read_header(spec, payload))
    except KeyError:
        raise FrameError("the broker sent a method of an unknown class or number") from None
    except struct.error:
        raise FrameError("a frame's payload is cut short") from None
    raise FrameError(f"frame type {kind} is unknown")


def method_payload(method: Any, args: tuple[Any, ...]) -> bytes:
    """Return the payload of a method frame. Raises FieldError for an argument that AMQP cannot carry."""
    stream = BytesIO()
    codec = FrameCodec(stream)
    codec.encode_short(method.klass.id)
    codec.encode_short(method.id)
    for declared, value in zip(method.fields, args, strict=True):
        codec.encode(declared.type, value)
    codec.flush()
    return stream.getvalue()


def header_payload(klass: Any, size: int, properties: Mapping[str, Any]) -> bytes:
    """Return the payload of a content header frame.

    `size` is the body's in bytes, `properties` are named like in the specification (``content-type``). Raises
    ValueError for an unknown property.
    """
    known = {declared.name for declared in klass.fields}
    unknown = set(properties) - known
    if unknown:
        raise ValueError(f"unknown message properties: {', '.join(sorted(unknown))}")
    stream = BytesIO()
    codec = FrameCodec(stream)
    flags = 0
    for position, declared in enumerate(klass.fields):
        value = properties.get(declared.name)
        if value is not None:
            flags |= 0x8000 >> position
            codec.encode(declared.type, value)
    codec.flush()
    return _CONTENT.pack(klass.id, 0, size) + struct.pack("!H", flags) + stream.getvalue()


def read_properties(spec: Any, raw: bytes) -> dict[str, Any]:
    """Return message properties by name from the part of a content header that begins with the flags.

    Raises FieldError, FrameError.
    """
    codec = FrameCodec(BytesIO(raw))
    flags = codec.decode_short()
    if flags & 1:
        raise FrameError("more property flags than AMQP 0-9-1 has")
    return {
        declared.name: codec.decode(declared.type)
        for position, declared in enumerate(spec.classes.byid[_BASIC].fields)
        if flags & (0x8000 >> position)
    }


def acknowledge(channel: int, tag: int, multiple: bool) -> bytes:
    """Return the frame of basic.ack; `multiple` covers all earlier deliveries too."""
    return _SETTLE.pack(METHOD, channel, 13, _BASIC, _ACK, tag, multiple, FRAME_END)


def reject(channel: int, tag: int) -> bytes:
    """Return the frame of basic.reject, without requeueing."""
    return _SETTLE.pack(METHOD, channel, 13, _BASIC, _REJECT, tag, 0, FRAME_END)


def requeue(channel: int, tag: int) -> bytes:
    """Return the frame of basic.nack for one delivery, which the broker delivers again."""
    return _SETTLE.pack(METHOD, channel, 13, _BASIC, _NACK, tag, 2, FRAME_END)


def body_frames(channel: int, body: bytes, max_frame_bytes: int) -> list[bytes]:
    """Return the body as frames of at most `max_frame_bytes`, overhead included."""
    payload_size = max_frame_bytes - OVERHEAD
    if len(body) <= payload_size:
        return [frame(BODY, channel, body)] if body else []
    return [
        frame(BODY, channel, body[start : start + payload_size])
        for start in range(0, len(body), payload_size)
    ]


def _read_method(spec: Any, payload: bytes) -> Method:
    codec = FrameCodec(BytesIO(payload))
    klass = spec.classes.byid[codec.decode_short()]
    method = klass.methods.byid[codec.decode_short()]
    return Method(method, *[codec.decode(declared.type) for declared in method.fields])


def _read_header(spec: Any, payload: bytes) -> Header:
    number, weight, size = _CONTENT.unpack_from(payload)
    return Header(spec.classes.byid[number], weight, size, **read_properties(spec, payload[12:]))
