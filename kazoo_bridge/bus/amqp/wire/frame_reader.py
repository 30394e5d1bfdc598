"""Frames in: deliveries are read straight from the receive buffer, everything else is passed on frame by frame.

A delivery is three or more frames: the method, the content header, the body in pieces. They usually lie in the buffer in one
piece; then nothing is kept but the body's own bytes. A content that is not there in whole is collected per channel.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Protocol

from attrs import define, field

from kazoo_bridge.bus.amqp.wire.errors import FrameError
from kazoo_bridge.bus.amqp.wire.frame_writer import BODY, FRAME_END, HEADER, HEARTBEAT, METHOD, OVERHEAD

#: What one body may have, in bytes, unless told otherwise.
DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024
#: The frame size that is asked for when the broker sets no limit, and the limit until one is agreed upon.
DEFAULT_FRAME_MAX = 131072

_HEAD: Callable[[bytes, int], tuple[int, int, int]] = Struct("!BHI").unpack_from
_HEADER: Callable[[bytes, int], tuple[int, int, int, int, int, int, int]] = Struct("!BHIHHQH").unpack_from
_TAG: Callable[[bytes, int], tuple[int, int]] = Struct("!QB").unpack_from

_DELIVER = b"\x00\x3c\x00\x3c"
_RETURN = b"\x00\x3c\x00\x32"
_ACK = b"\x00\x3c\x00\x50"
_NACK = b"\x00\x3c\x00\x78"


class DeliveryReceiver(Protocol):
    """Who takes the deliveries of one channel. Its methods must not raise."""

    def delivered(
        self,
        consumer_tag: str,
        delivery_tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        content_encoding: str | None,
        properties: bytes,
        body: bytes,
    ) -> None:
        """A whole message. `properties` are the header's flags and fields as they came; see `frames.read_properties`."""

    def too_large(
        self, consumer_tag: str, delivery_tag: int, exchange: str, routing_key: str, size: int
    ) -> None:
        """A message whose body has more than the allowed bytes, told before the body comes; it will be skipped."""


#: Told of a returned message: reply code, reply text, exchange, routing key, properties.
ReturnReceiver = Callable[[int, str, str, str, bytes], None]
#: Told of a confirm: delivery tag, whether it covers all up to it, whether it is positive.
ConfirmReceiver = Callable[[int, bool, bool], None]


@define
class _Content:
    """A content of which not everything has arrived."""

    finish: Callable[[str | None, bytes, bytes], None]
    refuse: Callable[[int], None]
    missing: int = -1
    encoding: str | None = None
    properties: bytes = b""
    skip: bool = False
    pieces: list[bytes] = field(factory=list)


class FrameReader:
    """Cuts the stream of bytes into frames. `other` gets each frame that is not part of a delivery, a return or a confirm.

    Time is linear in the bytes received, however they are cut.
    """

    def __init__(self, other: Callable[[bytes], None], largest_body: int = DEFAULT_MAX_BODY_BYTES) -> None:
        self.receivers: dict[int, DeliveryReceiver] = {}
        self.returned: dict[int, ReturnReceiver] = {}
        self.confirmed: dict[int, ConfirmReceiver] = {}
        self.largest_frame = DEFAULT_FRAME_MAX
        self._other = other
        self._largest_body = largest_body
        self._partial: dict[int, _Content] = {}
        self._names: dict[bytes, str] = {}
        self._buffer = bytearray()
        self._wanted = 0
        self._stopped = False

    def stop(self) -> None:
        """Read nothing more, not even what is in the buffer."""
        self._stopped = True
        self.receivers.clear()
        self.returned.clear()
        self.confirmed.clear()
        self._partial.clear()
        self._buffer.clear()

    def forget(self, channel: int) -> None:
        """The channel is closed."""
        for table in (self.receivers, self.returned, self.confirmed, self._partial):
            table.pop(channel, None)

    def feed(self, data: bytes) -> None:
        """Take what was received. Raises FrameError when it is not AMQP."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return
            data = bytes(self._buffer)
            self._buffer = bytearray()
        position = self._consume(data)
        if position < len(data) and not self._stopped:
            self._buffer += memoryview(data)[position:]

    def _consume(self, data: bytes) -> int:
        """Handle every whole frame; returns where the first incomplete one begins, and notes how long that will be."""
        position, end = 0, len(data)
        while end - position >= OVERHEAD:
            kind, channel, size = _HEAD(data, position)
            after = position + OVERHEAD + size
            if after > end or data[after - 1] != FRAME_END:
                self._check(kind, size, complete=after <= end)
                self._wanted = OVERHEAD + size
                return position
            if kind == METHOD and data[position + 7 : position + 11] == _DELIVER:
                position = self._delivery(data, position + 11, after, end, channel)
            else:
                self._handle_other_frame(kind, channel, data, position, after)
                position = after
            if self._stopped:
                return end
        self._wanted = OVERHEAD
        return position

    def _check(self, kind: int, size: int, complete: bool) -> None:
        if kind not in (METHOD, HEADER, BODY, HEARTBEAT):
            raise FrameError("the peer does not speak AMQP 0-9-1")
        if size + OVERHEAD > self.largest_frame:
            raise FrameError(f"a frame of {size} bytes is larger than the {self.largest_frame} agreed upon")
        if complete:
            raise FrameError("a frame does not end where it should")

    def _delivery(self, data: bytes, position: int, after: int, end: int, channel: int) -> int:
        """Handle basic.deliver, whose arguments begin at `position`, with its content as far as that is there."""
        start = position + 1
        position = start + data[position]
        consumer_tag = self._name(data[start:position])
        delivery_tag, redelivered = _TAG(data, position)
        start = position + 10
        position = start + data[position + 9]
        exchange = self._name(data[start:position])
        routing_key = data[position + 1 : position + 1 + data[position]].decode("utf-8", "replace")
        receiver = self.receivers.get(channel)
        # Is the whole rest here, in one header and one body frame?
        if receiver is not None and end - after >= 30:
            kind, header_channel, size, _class, _weight, body_size, flags = _HEADER(data, after)
            header_end = after + OVERHEAD + size
            if (
                kind == HEADER
                and header_channel == channel
                and header_end + OVERHEAD <= end
                and body_size <= self._largest_body
            ):
                kind, body_channel, first = _HEAD(data, header_end)
                body_end = header_end + OVERHEAD + first
                if kind == BODY and body_channel == channel and first == body_size and body_end <= end:
                    if data[header_end - 1] != FRAME_END or data[body_end - 1] != FRAME_END:
                        raise FrameError("a frame does not end where it should")
                    properties = data[after + 19 : header_end - 1]
                    receiver.delivered(
                        consumer_tag,
                        delivery_tag,
                        redelivered != 0,
                        exchange,
                        routing_key,
                        _encoding(properties) if flags & 0x4000 else None,
                        properties,
                        data[header_end + 7 : body_end - 1],
                    )
                    return body_end
        self._partial[channel] = self._collect(
            channel, consumer_tag, delivery_tag, redelivered != 0, exchange, routing_key
        )
        return after

    def _collect(
        self,
        channel: int,
        consumer_tag: str,
        delivery_tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
    ) -> _Content:
        def finish(encoding: str | None, properties: bytes, body: bytes) -> None:
            receiver = self.receivers.get(channel)
            if receiver is not None:
                receiver.delivered(
                    consumer_tag, delivery_tag, redelivered, exchange, routing_key, encoding, properties, body
                )

        def refuse(size: int) -> None:
            receiver = self.receivers.get(channel)
            if receiver is not None:
                receiver.too_large(consumer_tag, delivery_tag, exchange, routing_key, size)

        return _Content(finish, refuse)

    def _handle_other_frame(self, kind: int, channel: int, data: bytes, position: int, after: int) -> None:
        """Handle a frame that is not basic.deliver."""
        self._check(kind, after - position - OVERHEAD, complete=False)
        content = self._partial.get(channel)
        if content is not None and kind == HEADER:
            self._header(channel, content, data, position, after)
        elif content is not None and kind == BODY:
            self._body(channel, content, data[position + 7 : after - 1])
        elif content is not None and kind == METHOD and data[position + 7 : position + 9] == b"\x00\x3c":
            raise FrameError("a message broke off in the middle")
        elif kind != METHOD or not self._handle_method(channel, data, position + 7, after):
            self._other(data[position:after])

    def _header(self, channel: int, content: _Content, data: bytes, position: int, after: int) -> None:
        if after - position < 22 or content.missing >= 0:
            raise FrameError("a content header is out of place")
        *_, size, flags = _HEADER(data, position)
        content.missing = size
        content.properties = data[position + 19 : after - 1]
        content.encoding = _encoding(content.properties) if flags & 0x4000 else None
        if size > self._largest_body:
            content.skip = True
            content.refuse(size)
        if size == 0:
            self._finish_content(channel, content)

    def _body(self, channel: int, content: _Content, piece: bytes) -> None:
        if content.missing < len(piece):
            raise FrameError("a message body is longer than announced")
        content.missing -= len(piece)
        if not content.skip:
            content.pieces.append(piece)
        if content.missing == 0:
            self._finish_content(channel, content)

    def _finish_content(self, channel: int, content: _Content) -> None:
        del self._partial[channel]
        if not content.skip:
            content.finish(content.encoding, content.properties, b"".join(content.pieces))

    def _handle_method(self, channel: int, data: bytes, position: int, after: int) -> bool:
        """Returns and confirms, which come in numbers, are read here too."""
        method = data[position : position + 4]
        if method in (_ACK, _NACK) and after - position >= 14:
            confirmed = self.confirmed.get(channel)
            if confirmed is not None:
                tag, bits = _TAG(data, position + 4)
                confirmed(tag, bool(bits & 1), method == _ACK)
            return True
        if method == _RETURN:
            self._partial[channel] = self._handle_return(channel, data, position + 4)
            return True
        return False

    def _handle_return(self, channel: int, data: bytes, position: int) -> _Content:
        code = int.from_bytes(data[position : position + 2], "big")
        words = []
        position += 2
        for _ in range(3):
            end = position + 1 + data[position]
            words.append(data[position + 1 : end].decode("utf-8", "replace"))
            position = end
        text, exchange, routing_key = words

        def finish(_encoding: str | None, properties: bytes, _body: bytes) -> None:
            receiver = self.returned.get(channel)
            if receiver is not None:
                receiver(code, text, exchange, routing_key, properties)

        return _Content(finish, lambda _size: finish(None, b"\x00\x00", b""))

    def _name(self, raw: bytes) -> str:
        """Text of an exchange or consumer name; there are few of them, so they are decoded once."""
        name = self._names.get(raw)
        if name is None:
            name = raw.decode("utf-8", "replace")
            if len(self._names) < 1024:
                self._names[raw] = name
        return name


def _encoding(properties: bytes) -> str:
    """The content encoding, which the flags say is there: behind the content type, if that is there as well."""
    position = 2
    if properties[0] & 0x80:
        position += 1 + properties[position]
    return properties[position + 1 : position + 1 + properties[position]].decode("utf-8", "replace")
