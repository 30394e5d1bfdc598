"""Reading deliveries straight from the receive buffer."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import FrameError
from kazoo_bridge.bus.amqp.wire.field_table import long_string, short_string
from kazoo_bridge.bus.amqp.wire.frame_reader import FrameReader
from kazoo_bridge.bus.amqp.wire.spec import amqp_0_9_1

BASIC = amqp_0_9_1().classes.byname["basic"]


class Recorder:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.messages: list[tuple[Any, ...]] = []
        self.large: list[tuple[Any, ...]] = []

    def delivered(self, *args: Any) -> None:
        self.messages.append(args)

    def too_large(self, *args: Any) -> None:
        self.large.append(args)


def delivery(
    body: bytes, *, channel: int = 1, tag: int = 1, key: str = "a.b", room: int = 4096, **properties: Any
) -> bytes:
    """The frames of one delivery."""
    method = BASIC.methods.byname["deliver"]
    payload = frame_writer.method_payload(method, ("tag", tag, True, "callevt", key))
    header = frame_writer.header_payload(
        BASIC, len(body), {name.replace("_", "-"): value for name, value in properties.items()}
    )
    return (
        frame_writer.frame(frame_writer.METHOD, channel, payload)
        + frame_writer.frame(frame_writer.HEADER, channel, header)
        + b"".join(frame_writer.body_frames(channel, body, room))
    )


def reader(
    recorder: Recorder, largest: int = 1000, channels: tuple[int, ...] = (1,)
) -> tuple[FrameReader, list[bytes]]:
    others: list[bytes] = []
    made = FrameReader(others.append, largest)
    for channel in channels:
        made.receivers[channel] = recorder
    return made, others


STREAM = (
    delivery(b'{"a":1}', tag=1, content_type="application/json", content_encoding="gzip")
    + frame_writer.HEARTBEAT_FRAME
    + delivery("grün €".encode() * 3, tag=2, key="ключ.β", room=10, headers={"x": [1, {"y": 2**40}]})
    + delivery(b"", tag=3, content_encoding="identity")
    + delivery(b"plain", tag=4, message_id="id", timestamp=2**40)
)
EXPECTED = [
    (1, "a.b", "gzip", b'{"a":1}'),
    (2, "ключ.β", None, "grün €".encode() * 3),
    (3, "a.b", "identity", b""),
    (4, "a.b", None, b"plain"),
]


def short_form(recorder: Recorder) -> list[tuple[Any, ...]]:
    return [(tag, key, encoding, body) for _, tag, _, _, key, encoding, _, body in recorder.messages]


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_the_stream_may_be_cut_anywhere(cut: int) -> None:
    recorder = Recorder()
    made, others = reader(recorder)
    made.feed(STREAM[:cut])
    made.feed(STREAM[cut:])
    assert short_form(recorder) == EXPECTED
    assert others == [frame_writer.HEARTBEAT_FRAME]


@given(st.lists(st.integers(1, 40), min_size=1))
def test_the_stream_may_come_in_any_pieces(sizes: list[int]) -> None:
    recorder = Recorder()
    made, _ = reader(recorder)
    position = 0
    turn = 0
    while position < len(STREAM):
        size = sizes[turn % len(sizes)]
        made.feed(STREAM[position : position + size])
        position, turn = position + size, turn + 1
    assert short_form(recorder) == EXPECTED


def test_everything_about_a_delivery_is_told() -> None:
    recorder = Recorder()
    made, _ = reader(recorder)
    made.feed(delivery(b"x", tag=9, content_type="t", headers={"h": None}, message_id="m"))
    [(consumer_tag, tag, redelivered, exchange, key, encoding, properties, body)] = recorder.messages
    assert (consumer_tag, tag, redelivered, exchange, key, encoding, body) == (
        "tag",
        9,
        True,
        "callevt",
        "a.b",
        None,
        b"x",
    )
    assert frame_writer.read_properties(amqp_0_9_1(), properties) == {
        "content-type": "t",
        "headers": {"h": None},
        "message-id": "m",
    }


def test_headers_that_nobody_can_read_do_no_harm_until_they_are_asked_for() -> None:
    recorder = Recorder()
    made, _ = reader(recorder)
    good = delivery(b"x", headers={"h": True})
    made.feed(good.replace(b"\x01ht\x01", b"\x01h?\x01"))
    assert recorder.messages[0][-1] == b"x"


def test_contents_of_several_channels_may_be_interleaved() -> None:
    recorder = Recorder()
    made, _ = reader(recorder, channels=(1, 2))
    one, two = (delivery(bytes([65 + n]) * 4, channel=n, tag=n, room=9) for n in (1, 2))

    def split(data: bytes) -> list[bytes]:
        found = []
        while data:
            size = struct.unpack_from("!BHI", data)[2] + 8
            found.append(data[:size])
            data = data[size:]
        return found

    for pair in zip(split(one), split(two), strict=True):
        made.feed(b"".join(pair))
    assert [message[-1] for message in recorder.messages] == [b"BBBB", b"CCCC"]


@pytest.mark.parametrize("room", [100, 5000])
def test_a_large_body_is_refused_before_it_comes_and_is_not_kept(room: int) -> None:
    recorder = Recorder()
    made, _ = reader(recorder, largest=1000)
    data = delivery(b"x" * 1001, tag=1, key="too.large", room=room)
    header_end = len(data) - 1001 - 8 * len(frame_writer.body_frames(1, b"x" * 1001, room))
    made.feed(data[:header_end])
    assert recorder.large == [("tag", 1, "callevt", "too.large", 1001)]
    made.feed(data[header_end:] + delivery(b"y" * 1000, tag=2))
    assert [message[1] for message in recorder.messages] == [2]
    assert len(recorder.large) == 1


def test_a_channel_without_receiver_is_read_over() -> None:
    recorder = Recorder()
    made, others = reader(recorder)
    made.feed(delivery(b"x", channel=7) + delivery(b"y", channel=1))
    assert [message[-1] for message in recorder.messages] == [b"y"]
    assert others == []


def test_nothing_more_is_read_after_stopping_in_the_middle_of_the_buffer() -> None:
    recorder = Recorder()
    made, _ = reader(recorder)
    recorder.delivered = lambda *args: (recorder.messages.append(args), made.stop())  # type: ignore[method-assign]
    made.feed(delivery(b"x") + delivery(b"y"))
    assert len(recorder.messages) == 1


def test_returns_and_confirms_are_told() -> None:
    made, others = reader(Recorder())
    returned: list[Any] = []
    confirmed: list[Any] = []
    made.returned[3] = lambda *args: returned.append(args)
    made.confirmed[3] = lambda *args: confirmed.append(args)
    method = BASIC.methods.byname["return"]
    content = delivery(b"body", channel=3, message_id="5")
    begin = frame_writer.frame(
        frame_writer.METHOD, 3, frame_writer.method_payload(method, (312, "NO_ROUTE", "im", "a.b"))
    )
    made.feed(begin + content[struct.unpack_from("!BHI", content)[2] + 8 :])
    for name, args in (("ack", (7, True)), ("nack", (8, False, False))):
        made.feed(
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
def test_what_is_not_amqp_is_refused(data: bytes, words: str) -> None:
    made, _ = reader(Recorder())
    with pytest.raises(FrameError, match=words):
        made.feed(data)


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_random_bytes_raise_only_what_the_connection_catches(data: bytes) -> None:
    made, _ = reader(Recorder())
    try:
        made.feed(data)
    except (FrameError, IndexError, struct.error):
        return


def test_a_long_string_is_measured_in_bytes() -> None:
    assert long_string("€") == b"\x00\x00\x00\x03\xe2\x82\xac"
    assert short_string("€") == b"\x03\xe2\x82\xac"


def test_time_is_linear_in_the_bytes_received() -> None:
    """A 100 kB frame in pieces of one byte is touched once, not once per piece."""
    recorder = Recorder()
    made, _ = reader(recorder, largest=200_000)
    consumed = 0
    original = made._consume

    def counting(data: bytes) -> int:
        nonlocal consumed
        consumed += len(data)
        return original(data)

    made._consume = counting  # type: ignore[method-assign]
    data = delivery(b"z" * 100_000, room=131072)
    for position in range(len(data)):
        made.feed(data[position : position + 1])
    assert len(recorder.messages) == 1
    assert consumed < 3 * len(data)
