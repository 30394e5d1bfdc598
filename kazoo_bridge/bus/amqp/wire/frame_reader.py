"""Frames in: reads deliveries, returns and confirms from the receive buffer, and passes on every other frame.

A delivery consists of three or more frames: the method, the content header, and the body in pieces. Usually
all of them lie in the buffer side by side, and then only the body's bytes are copied. Contents that arrive in
parts are collected per channel.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple, Protocol

from attrs import define, field

from kazoo_bridge.bus.amqp.wire.errors import FrameError
from kazoo_bridge.bus.amqp.wire.frame_writer import BODY, FRAME_END, HEADER, HEARTBEAT, METHOD, OVERHEAD

#: Default limit of a message body, in bytes.
DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024
#: The frame size in bytes that is requested when the broker sets no limit, and the limit until one is agreed
#: upon.
DEFAULT_FRAME_MAX = 131072
#: Distinct exchange names that are kept decoded.
_MAX_NAMES = 1024

_HEAD: Callable[[bytes, int], tuple[int, int, int]] = Struct("!BHI").unpack_from
_HEADER: Callable[[bytes, int], tuple[int, int, int, int, int, int, int]] = Struct("!BHIHHQH").unpack_from
_TAG: Callable[[bytes, int], tuple[int, int]] = Struct("!QB").unpack_from

_DELIVER = b"\x00\x3c\x00\x3c"
_RETURN = b"\x00\x3c\x00\x32"
_ACK = b"\x00\x3c\x00\x50"
_NACK = b"\x00\x3c\x00\x78"
#: Property flags of a content header: content type and content encoding, the first two properties.
_HAS_TYPE, _HAS_ENCODING = 0x80, 0x4000


class RawDelivery(NamedTuple):
    """A delivered message, not decoded.

    A tuple, because one is made for every message: attrs' frozen costs five times as much.
    """

    delivery_tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    content_encoding: str | None
    body: bytes


# Without the Python function that NamedTuple puts in front of it.
_make_tuple = tuple.__new__


class DeliveryReceiver(Protocol):
    """Receives the deliveries of one channel. Its methods must not raise."""

    def on_delivery(self, delivery: RawDelivery) -> None:
        """Handle a message."""

    def on_oversized(self, delivery_tag: int, exchange: str, routing_key: str, size: int) -> None:
        """Handle a message whose body of `size` bytes is too large. The body is skipped after the call."""

    def on_cancelled(self) -> None:
        """Handle that the broker has cancelled the consumer, for instance because its queue was deleted."""

    def on_read_end(self) -> None:
        """Handle that no more messages were received together with the latest ones."""


#: Called for a returned message with reply code, reply text, exchange, routing key and the encoded properties
#: (see `frame_writer.read_properties`).
OnReturn = Callable[[int, str, str, str, bytes], None]
#: Called for a confirm with the delivery tag, whether it covers all earlier tags too, and whether it is
#: positive.
OnConfirm = Callable[[int, bool, bool], None]


@define
class _PartialContent:
    """A content that has not arrived completely.

    `missing` bytes of its body are outstanding; -1: so is its header.

    `on_complete` is called with content encoding, properties and body, `on_oversized` with the size of the
    body.
    """

    on_complete: Callable[[str | None, bytes, bytes], None]
    on_oversized: Callable[[int], None]
    missing: int = -1
    encoding: str | None = None
    properties: bytes = b""
    skip: bool = False
    pieces: list[bytes] = field(factory=list)


class FrameReader:
    """Splits the stream of bytes into frames, in time linear in the bytes received, however they are cut.

    `on_other_frame` is called with each frame that belongs to no delivery, return or confirm.
    `max_body_bytes` limits the body of a message. `max_frame_bytes` is the limit agreed upon with the broker.
    """

    def __init__(
        self, on_other_frame: Callable[[bytes], None], max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    ) -> None:
        self.max_frame_bytes = DEFAULT_FRAME_MAX
        self._on_other_frame = on_other_frame
        self._max_body_bytes = max_body_bytes
        self._receivers: dict[int, DeliveryReceiver] = {}
        self._on_return: dict[int, OnReturn] = {}
        self._on_confirm: dict[int, OnConfirm] = {}
        self._partial: dict[int, _PartialContent] = {}
        self._names: dict[bytes, str] = {}
        self._buffer = bytearray()
        self._needed = 0
        self._stopped = False

    def add_receiver(self, channel: int, receiver: DeliveryReceiver) -> None:
        """Pass the deliveries of a channel to `receiver`.

        Deliveries of channels without receiver are skipped.
        """
        self._receivers[channel] = receiver

    def receiver(self, channel: int) -> DeliveryReceiver | None:
        """Return the receiver of a channel's deliveries."""
        return self._receivers.get(channel)

    def remove_receiver(self, channel: int) -> None:
        """Skip the deliveries of a channel from now on."""
        self._receivers.pop(channel, None)

    def add_publisher(self, channel: int, on_confirm: OnConfirm, on_return: OnReturn) -> None:
        """Pass on the confirms and returned messages of a channel."""
        self._on_confirm[channel] = on_confirm
        self._on_return[channel] = on_return

    def forget(self, channel: int) -> None:
        """Drop everything that belongs to a closed channel."""
        for table in (self._receivers, self._on_return, self._on_confirm, self._partial):
            table.pop(channel, None)

    def stop(self) -> None:
        """Read nothing more, not even what is in the buffer."""
        self._stopped = True
        for table in (self._receivers, self._on_return, self._on_confirm, self._partial):
            table.clear()
        self._buffer.clear()

    def feed(self, data: bytes) -> None:
        """Handle received bytes.

        Raises FrameError, IndexError or struct.error when they are not AMQP 0-9-1.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data = bytes(self._buffer)
            self._buffer = bytearray()
        position = self._consume(data)
        for receiver in list(self._receivers.values()):
            receiver.on_read_end()
        if position < len(data) and not self._stopped:
            self._buffer += memoryview(data)[position:]

    def _consume(self, data: bytes) -> int:
        """Handle all complete frames; return the position of the first incomplete one."""
        position, end = 0, len(data)
        while end - position >= OVERHEAD:
            kind, channel, size = _HEAD(data, position)
            after = position + OVERHEAD + size
            if after > end or data[after - 1] != FRAME_END:
                self._check(kind, size, complete=after <= end)
                self._needed = OVERHEAD + size
                return position
            if kind == METHOD and data[position + 7 : position + 11] == _DELIVER:
                position = self._read_delivery(data, position + 11, after, end, channel)
            else:
                self._handle_other_frame(kind, channel, data, position, after)
                position = after
            if self._stopped:
                return end
        self._needed = OVERHEAD
        return position

    def _check(self, kind: int, size: int, complete: bool) -> None:
        if kind not in (METHOD, HEADER, BODY, HEARTBEAT):
            raise FrameError("the peer does not speak AMQP 0-9-1")
        if size + OVERHEAD > self.max_frame_bytes:
            raise FrameError(f"a frame of {size} bytes is larger than the {self.max_frame_bytes} agreed upon")
        if complete:
            raise FrameError("a frame does not end where it should")

    def _read_delivery(self, data: bytes, position: int, after: int, end: int, channel: int) -> int:
        """Handle basic.deliver with arguments at `position`; return the position after what was handled."""
        if self._partial and channel in self._partial:
            raise FrameError("a message broke off in the middle")
        position += 1 + data[position]  # the consumer tag: each channel has one consumer
        delivery_tag, redelivered = _TAG(data, position)
        start = position + 10
        position = start + data[position + 9]
        exchange = self._name(data[start:position])
        routing_key = data[position + 1 : position + 1 + data[position]].decode("utf-8", "replace")
        receiver = self._receivers.get(channel)
        # Is all the rest here, in one header and one body frame?
        if receiver is not None and end - after >= 30:
            kind, header_channel, size, _class, _weight, body_size, flags = _HEADER(data, after)
            header_end = after + OVERHEAD + size
            if (
                kind == HEADER
                and header_channel == channel
                and header_end + OVERHEAD <= end
                and 0 < body_size <= self._max_body_bytes
            ):
                kind, body_channel, first = _HEAD(data, header_end)
                body_end = header_end + OVERHEAD + first
                if kind == BODY and body_channel == channel and first == body_size and body_end <= end:
                    if data[header_end - 1] != FRAME_END or data[body_end - 1] != FRAME_END:
                        raise FrameError("a frame does not end where it should")
                    receiver.on_delivery(
                        _make_tuple(
                            RawDelivery,
                            (
                                delivery_tag,
                                redelivered != 0,
                                exchange,
                                routing_key,
                                _encoding(data, after + 19) if flags & _HAS_ENCODING else None,
                                data[header_end + 7 : body_end - 1],
                            ),
                        )
                    )
                    return body_end
        self._partial[channel] = self._collect_delivery(
            channel, delivery_tag, redelivered != 0, exchange, routing_key
        )
        return after

    def _collect_delivery(
        self, channel: int, delivery_tag: int, redelivered: bool, exchange: str, routing_key: str
    ) -> _PartialContent:
        def on_complete(encoding: str | None, _properties: bytes, body: bytes) -> None:
            receiver = self._receivers.get(channel)
            if receiver is not None:
                receiver.on_delivery(
                    RawDelivery(delivery_tag, redelivered, exchange, routing_key, encoding, body)
                )

        def on_oversized(size: int) -> None:
            receiver = self._receivers.get(channel)
            if receiver is not None:
                receiver.on_oversized(delivery_tag, exchange, routing_key, size)

        return _PartialContent(on_complete, on_oversized)

    def _handle_other_frame(self, kind: int, channel: int, data: bytes, position: int, after: int) -> None:
        """Handle a frame that is not basic.deliver."""
        self._check(kind, after - position - OVERHEAD, complete=False)
        content = self._partial.get(channel)
        if content is not None and kind == HEADER:
            self._read_header(channel, content, data, position, after)
        elif content is not None and kind == BODY:
            self._read_body(channel, content, data[position + 7 : after - 1])
        elif content is not None and kind == METHOD and data[position + 7 : position + 9] == b"\x00\x3c":
            raise FrameError("a message broke off in the middle")
        elif kind != METHOD or not self._read_publisher_method(channel, data, position + 7, after):
            self._on_other_frame(data[position:after])

    def _read_header(
        self, channel: int, content: _PartialContent, data: bytes, position: int, after: int
    ) -> None:
        if after - position < 22 or content.missing >= 0:
            raise FrameError("a content header is out of place")
        *_, size, flags = _HEADER(data, position)
        content.missing = size
        content.properties = data[position + 19 : after - 1]
        content.encoding = _encoding(content.properties, 0) if flags & _HAS_ENCODING else None
        if size > self._max_body_bytes:
            content.skip = True
            content.on_oversized(size)
        if size == 0:
            self._finish_content(channel, content)

    def _read_body(self, channel: int, content: _PartialContent, piece: bytes) -> None:
        if content.missing < len(piece):
            raise FrameError("a message body is longer than announced")
        content.missing -= len(piece)
        if not content.skip:
            content.pieces.append(piece)
        if content.missing == 0:
            self._finish_content(channel, content)

    def _finish_content(self, channel: int, content: _PartialContent) -> None:
        del self._partial[channel]
        if not content.skip:
            content.on_complete(content.encoding, content.properties, b"".join(content.pieces))

    def _read_publisher_method(self, channel: int, data: bytes, position: int, after: int) -> bool:
        """Handle a confirm or return, which are frequent; False when the method is another one."""
        method = data[position : position + 4]
        if method in (_ACK, _NACK) and after - position >= 14:
            on_confirm = self._on_confirm.get(channel)
            if on_confirm is not None:
                tag, bits = _TAG(data, position + 4)
                on_confirm(tag, bool(bits & 1), method == _ACK)
            return True
        if method == _RETURN:
            self._partial[channel] = self._collect_return(channel, data, position + 4)
            return True
        return False

    def _collect_return(self, channel: int, data: bytes, position: int) -> _PartialContent:
        code = int.from_bytes(data[position : position + 2], "big")
        words = []
        position += 2
        for _ in range(3):
            end = position + 1 + data[position]
            words.append(data[position + 1 : end].decode("utf-8", "replace"))
            position = end
        text, exchange, routing_key = words

        def on_complete(_encoding: str | None, properties: bytes, _body: bytes) -> None:
            on_return = self._on_return.get(channel)
            if on_return is not None:
                on_return(code, text, exchange, routing_key, properties)

        return _PartialContent(on_complete, lambda _size: on_complete(None, b"\x00\x00", b""))

    def _name(self, raw: bytes) -> str:
        """Decode the name of an exchange; there are few of them, so each is decoded once."""
        name = self._names.get(raw)
        if name is None:
            name = raw.decode("utf-8", "replace")
            if len(self._names) < _MAX_NAMES:
                self._names[raw] = name
        return name


def _encoding(data: bytes, start: int) -> str:
    """Read the content encoding, which must be present, from the property flags and properties at `start`."""
    position = start + 2
    if data[start] & _HAS_TYPE:
        position += 1 + data[position]
    return data[position + 1 : position + 1 + data[position]].decode("utf-8", "replace")
