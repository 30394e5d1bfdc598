"""Deliveries, returns and confirms are read from the receive buffer, however it is cut."""

from __future__ import annotations

import struct
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import FrameError
from kazoo_bridge.bus.amqp.wire.frame_reader import FrameReader, RawDelivery
from kazoo_bridge.bus.amqp.wire.spec import amqp_0_9_1

BASIC = amqp_0_9_1().classes.byname["basic"]


class FakeReceiver:
    """Keeps what it receives; `on_message` is called after each message.

    `received` has the number of messages that had been received at the end of each read.
    """

    def __init__(self, on_message: Callable[[], None] = lambda: None) -> None:
        self.messages: list[RawDelivery] = []
        self.oversized: list[tuple[int, str, str, int]] = []
        self.received: list[int] = []
        self._on_message = on_message

    def on_delivery(self, delivery: RawDelivery) -> None:
        self.messages.append(delivery)
        self._on_message()

    def on_oversized(self, delivery_tag: int, exchange: str, routing_key: str, size: int) -> None:
        self.oversized.append((delivery_tag, exchange, routing_key, size))

    def on_cancelled(self) -> None:
        raise AssertionError("the reader does not cancel")

    def on_read_end(self) -> None:
        self.received.append(len(self.messages))


def delivery(
    body: bytes, *, channel: int = 1, tag: int = 1, key: str = "a.b", frame_max: int = 4096, **properties: Any
) -> bytes:
    """Return the frames of one delivery. `frame_max` is the largest frame of the body in bytes."""
    method = BASIC.methods.byname["deliver"]
    payload = frame_writer.method_payload(method, ("tag", tag, True, "callevt", key))
    header = frame_writer.header_payload(
        BASIC, len(body), {name.replace("_", "-"): value for name, value in properties.items()}
    )
    return (
        frame_writer.frame(frame_writer.METHOD, channel, payload)
        + frame_writer.frame(frame_writer.HEADER, channel, header)
        + b"".join(frame_writer.body_frames(channel, body, frame_max))
    )


def make_reader(
    receiver: FakeReceiver, max_body_bytes: int = 1000, channels: tuple[int, ...] = (1,)
) -> tuple[FrameReader, list[bytes]]:
    """Return a reader and the list of the other frames that it passes on."""
    others: list[bytes] = []
    reader = FrameReader(others.append, max_body_bytes)
    for channel in channels:
        reader.add_receiver(channel, receiver)
    return reader, others


STREAM = (
    delivery(b'{"a":1}', tag=1, content_type="application/json", content_encoding="gzip")
    + frame_writer.HEARTBEAT_FRAME
    + delivery("grün €".encode() * 3, tag=2, key="ключ.β", frame_max=10, headers={"x": [1, {"y": 2**40}]})
    + delivery(b"", tag=3, content_encoding="identity")
    + delivery(b"plain", tag=4, message_id="id", timestamp=2**40)
)
EXPECTED = [
    (1, "a.b", "gzip", b'{"a":1}'),
    (2, "ключ.β", None, "grün €".encode() * 3),
    (3, "a.b", "identity", b""),
    (4, "a.b", None, b"plain"),
]


def short_form(receiver: FakeReceiver) -> list[tuple[Any, ...]]:
    return [
        (message.delivery_tag, message.routing_key, message.content_encoding, message.body)
        for message in receiver.messages
    ]


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_the_stream_may_be_cut_anywhere(cut: int) -> None:
    receiver = FakeReceiver()
    reader, others = make_reader(receiver)
    reader.feed(STREAM[:cut])
    reader.feed(STREAM[cut:])
    assert short_form(receiver) == EXPECTED
    assert others == [frame_writer.HEARTBEAT_FRAME]


@given(st.lists(st.integers(1, 40), min_size=1))
def test_the_stream_may_come_in_any_pieces(sizes: list[int]) -> None:
    receiver = FakeReceiver()
    reader, _ = make_reader(receiver)
    position = 0
    index = 0
    while position < len(STREAM):
        size = sizes[index % len(sizes)]
        reader.feed(STREAM[position : position + size])
        position, index = position + size, index + 1
    assert short_form(receiver) == EXPECTED


def test_a_delivery_has_everything_of_its_method_and_content() -> None:
    receiver = FakeReceiver()
    reader, _ = make_reader(receiver)
    reader.feed(delivery(b"x", tag=9, content_type="t", headers={"h": None}, message_id="m"))
    assert receiver.messages == [RawDelivery(9, True, "callevt", "a.b", None, b"x")]


def test_headers_are_not_decoded() -> None:
    receiver = FakeReceiver()
    reader, _ = make_reader(receiver)
    good = delivery(b"x", headers={"h": True})
    reader.feed(good.replace(b"\x01ht\x01", b"\x01h?\x01"))
    assert receiver.messages[0].body == b"x"


def test_receivers_are_notified_after_what_was_received_together() -> None:
    receiver, other = FakeReceiver(), FakeReceiver()
    reader, _ = make_reader(receiver)
    reader.add_receiver(2, other)
    third = delivery(b"z", tag=3)
    reader.feed(delivery(b"x", tag=1) + delivery(b"y", tag=2) + third[:20])
    assert (receiver.received, other.received) == ([2], [0])
    reader.feed(third[20:40])
    reader.feed(third[40:])
    assert receiver.received[-1] == 3


def test_a_receiver_may_be_removed_at_the_end_of_a_read() -> None:
    receiver = FakeReceiver()
    reader, _ = make_reader(receiver, channels=(1, 2))
    receiver.on_read_end = reader.stop  # type: ignore[method-assign]
    reader.feed(delivery(b"x") + delivery(b"y")[:20])
    assert (reader.receiver(1), len(receiver.messages), len(reader._buffer)) == (None, 1, 0)


def test_contents_of_several_channels_may_be_interleaved() -> None:
    receiver = FakeReceiver()
    reader, _ = make_reader(receiver, channels=(1, 2))
    one, two = (delivery(bytes([65 + n]) * 4, channel=n, tag=n, frame_max=9) for n in (1, 2))

    def split(data: bytes) -> list[bytes]:
        found = []
        while data:
            size = struct.unpack_from("!BHI", data)[2] + 8
            found.append(data[:size])
            data = data[size:]
        return found

    for pair in zip(split(one), split(two), strict=True):
        reader.feed(b"".join(pair))
    assert [message.body for message in receiver.messages] == [b"BBBB", b"CCCC"]


@pytest.mark.parametrize("frame_max", [100, 5000])
def test_a_large_body_is_reported_before_it_arrives_and_is_not_kept(frame_max: int) -> None:
    receiver = FakeReceiver()
    reader, _ = make_reader(receiver, max_body_bytes=1000)
    data = delivery(b"x" * 1001, tag=1, key="too.large", frame_max=frame_max)
    header_end = len(data) - 1001 - 8 * len(frame_writer.body_frames(1, b"x" * 1001, frame_max))
    reader.feed(data[:header_end])
    assert receiver.oversized == [(1, "callevt", "too.large", 1001)]
    reader.feed(data[header_end:] + delivery(b"y" * 1000, tag=2))
    assert [message.delivery_tag for message in receiver.messages] == [2]
    assert len(receiver.oversized) == 1


def test_a_delivery_on_a_channel_without_receiver_is_skipped() -> None:
    receiver = FakeReceiver()
    reader, others = make_reader(receiver)
    reader.feed(delivery(b"x", channel=7) + delivery(b"y", channel=1))
    assert [message.body for message in receiver.messages] == [b"y"]
    assert others == []


def test_nothing_more_is_read_after_stopping_in_the_middle_of_the_buffer() -> None:
    receiver = FakeReceiver(on_message=lambda: reader.stop())
    reader, _ = make_reader(receiver)
    reader.feed(delivery(b"x") + delivery(b"y"))
    assert len(receiver.messages) == 1


@pytest.mark.parametrize("drop", ["remove_receiver", "forget"])
def test_a_removed_receiver_gets_nothing_more(drop: str) -> None:
    receiver = FakeReceiver()
    reader, _ = make_reader(receiver)
    getattr(reader, drop)(1)
    reader.feed(delivery(b"x"))
    assert receiver.messages == []
    assert reader.receiver(1) is None


def test_returns_and_confirms_are_reported() -> None:
    reader, others = make_reader(FakeReceiver())
    returned: list[Any] = []
    confirmed: list[Any] = []
    reader.add_publisher(3, lambda *args: confirmed.append(args), lambda *args: returned.append(args))
    method = BASIC.methods.byname["return"]
    content = delivery(b"body", channel=3, message_id="5")
    begin = frame_writer.frame(
        frame_writer.METHOD, 3, frame_writer.method_payload(method, (312, "NO_ROUTE", "im", "a.b"))
    )
    reader.feed(begin + content[struct.unpack_from("!BHI", content)[2] + 8 :])
    for name, args in (("ack", (7, True)), ("nack", (8, False, False))):
        reader.feed(
            frame_writer.frame(
                frame_writer.METHOD, 3, frame_writer.method_payload(BASIC.methods.byname[name], args)
            )
        )
    assert [item[:4] for item in returned] == [(312, "NO_ROUTE", "im", "a.b")]
    assert frame_writer.read_properties(amqp_0_9_1(), returned[0][4]) == {"message-id": "5"}
    assert confirmed == [(7, True, True), (8, False, False)]
    assert others == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak"),
        (b"AMQP\x00\x00\x09\x01", "does not speak"),
        (struct.pack("!BHI", 1, 1, 200_000) + b"x", "larger than"),
        (frame_writer.frame(frame_writer.BODY, 1, b"xx")[:-1] + b"\x00", "does not end"),
        (delivery(b"abc")[:-1] + b"\x00", "does not end"),
        (
            delivery(b"abc").replace(
                frame_writer.body_frames(1, b"abc", 99)[0], frame_writer.frame(frame_writer.BODY, 1, b"abcd")
            ),
            "longer than",
        ),
    ],
)
def test_bytes_that_are_not_amqp_are_refused(data: bytes, words: str) -> None:
    reader, _ = make_reader(FakeReceiver())
    with pytest.raises(FrameError, match=words):
        reader.feed(data)


METHOD_NAMES = ["deliver", "return", "ack", "nack", "get-empty"]
short_texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(0, 2**16 - 1)
values: dict[str, st.SearchStrategy[Any]] = {
    "bit": st.booleans(),
    "octet": st.integers(0, 255),
    "short": numbers,
    "long": numbers,
    "longlong": numbers,
    "timestamp": numbers,
    "shortstr": short_texts,
    "longstr": short_texts,
    "table": st.dictionaries(short_texts, st.none() | st.booleans() | numbers | short_texts, max_size=2),
}


@st.composite
def frames(draw: st.DrawFn, *, damaged: bool = False) -> bytes:
    """A method, content header, body or heartbeat; with `damaged`, every other payload is damaged."""
    channel = draw(st.sampled_from([1, 1, 1, 2, 0]))
    kind = draw(st.sampled_from(["method", "header", "body", "heartbeat"]))
    if kind == "heartbeat":
        return frame_writer.HEARTBEAT_FRAME
    if kind == "body":
        number, payload = frame_writer.BODY, draw(st.binary(max_size=12))
    elif kind == "header":
        chosen = draw(
            st.lists(st.sampled_from([field.name for field in BASIC.fields]), max_size=3, unique=True)
        )
        properties = {field.name: draw(values[field.type]) for field in BASIC.fields if field.name in chosen}
        size = draw(st.sampled_from([0, 3, 12, 2000]))
        number, payload = frame_writer.HEADER, frame_writer.header_payload(BASIC, size, properties)
    else:
        declared = BASIC.methods.byname[draw(st.sampled_from(METHOD_NAMES))]
        arguments = tuple(draw(values[field.type]) for field in declared.fields)
        number, payload = frame_writer.METHOD, frame_writer.method_payload(declared, arguments)
    if damaged and draw(st.booleans()):
        cut = draw(st.integers(0, len(payload)))
        payload = payload[:cut] + draw(st.binary(max_size=4)) + payload[cut + draw(st.integers(0, 2)) :]
    return frame_writer.frame(number, channel, payload)


@st.composite
def deliveries(draw: st.DrawFn) -> bytes:
    """A whole delivery, with its body in frames of any size."""
    return delivery(
        draw(st.binary(max_size=30)),
        channel=draw(st.sampled_from([1, 2])),
        frame_max=draw(st.integers(9, 64)),
    )


def read_all(pieces: list[bytes]) -> tuple[FakeReceiver, list[bytes], list[Any], Exception | None]:
    """Feed a new reader; return what it reported and the error that the connection would catch."""
    receiver, published = FakeReceiver(), []
    reader, others = make_reader(receiver)
    for channel in (1, 2):
        reader.add_publisher(
            channel, lambda *args: published.append(args), lambda *args: published.append(args)
        )
    try:
        for piece in pieces:
            reader.feed(piece)
    except (FrameError, IndexError, struct.error) as error:
        return receiver, others, published, error
    return receiver, others, published, None


@settings(max_examples=500)
@given(st.lists(st.one_of(frames(), deliveries()), min_size=1, max_size=8), st.integers(1, 40))
def test_random_frames_are_read_alike_in_one_piece_and_in_many(sequence: list[bytes], size: int) -> None:
    stream = b"".join(sequence)
    whole_receiver, whole_others, whole_published, whole_error = read_all([stream])
    cut_receiver, cut_others, cut_published, cut_error = read_all(
        [stream[start : start + size] for start in range(0, len(stream), size)]
    )
    assert str(whole_error) == str(cut_error)
    assert cut_receiver.messages == whole_receiver.messages
    assert cut_receiver.oversized == whole_receiver.oversized
    assert (cut_others, cut_published) == (whole_others, whole_published)


@settings(max_examples=500)
@given(st.lists(st.one_of(frames(damaged=True), deliveries()), min_size=1, max_size=8), st.integers(1, 200))
def test_damaged_frames_raise_only_what_the_connection_catches(sequence: list[bytes], size: int) -> None:
    stream = b"".join(sequence)
    receiver, *_ = read_all([stream[start : start + size] for start in range(0, len(stream), size)])
    assert len(receiver.messages) <= stream.count(b"\x00\x3c\x00\x3c")


@given(st.lists(deliveries(), min_size=1, max_size=5))
def test_random_deliveries_all_arrive_at_their_channel(sequence: list[bytes]) -> None:
    receiver, others, _, error = read_all(sequence)
    assert error is None
    assert others == []
    assert len(receiver.messages) == sum(data[2] == 1 for data in sequence)


@given(st.binary(max_size=60))
def test_random_bytes_raise_only_what_the_connection_catches(data: bytes) -> None:
    assert read_all([data])[0].messages == []


def test_time_is_linear_in_the_bytes_received() -> None:
    """A frame that arrives in many pieces is not copied once per piece."""

    def read_in_single_bytes(size: int) -> float:
        receiver = FakeReceiver()
        reader, _ = make_reader(receiver, max_body_bytes=size)
        data = delivery(b"z" * size, frame_max=131072)
        began = process_time()
        for position in range(len(data)):
            reader.feed(data[position : position + 1])
        assert len(receiver.messages) == 1
        return process_time() - began

    # Quadratic time would be 64 times as much.
    assert min(read_in_single_bytes(120_000) for _ in range(3)) < 24 * min(
        read_in_single_bytes(15_000) for _ in range(3)
    )
