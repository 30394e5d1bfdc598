"""Frames out, and back in again with txAMQP's objects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from txamqp.connection import Body, Frame, Header, Heartbeat, Method

from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import FieldError, FrameError
from kazoo_bridge.bus.amqp.wire.field_table import Timestamp
from kazoo_bridge.bus.amqp.wire.spec import amqp_0_9_1

SPEC = amqp_0_9_1()
BASIC = SPEC.classes.byname["basic"]


def again(frame: Frame) -> Frame:
    return frame_writer.unpack(SPEC, frame_writer.pack(frame))


def test_a_method_is_packed_and_unpacked() -> None:
    declared = SPEC.classes.byname["queue"].methods.byname["declare"]
    arguments = (0, "größe", False, True, True, False, False, {"x-max-length": 5, "x": None})
    frame = again(Frame(7, Method(declared, *arguments)))
    assert (frame.channel, frame.payload.method, frame.payload.args) == (7, declared, arguments)


def test_a_header_a_body_and_a_heartbeat_are_packed_and_unpacked() -> None:
    header = again(Frame(3, Header(BASIC, 0, 12, **{"message-id": "ü", "priority": 3}))).payload
    assert (header.klass, header.size, header.properties) == (BASIC, 12, {"message-id": "ü", "priority": 3})
    assert again(Frame(3, Body(b"\xff\x00"))).payload.content == b"\xff\x00"
    assert again(Frame(3, Body("größe"))).payload.content == "größe".encode()
    assert frame_writer.pack(Frame(0, Heartbeat())) == frame_writer.HEARTBEAT_FRAME
    assert isinstance(again(Frame(0, Heartbeat())).payload, Heartbeat)


def test_every_property_is_written_and_read() -> None:
    properties: dict[str, Any] = {
        "content-type": "application/json",
        "content-encoding": "gzip",
        "headers": {"deep": [1, {"a": None}]},
        "delivery-mode": 2,
        "priority": 9,
        "correlation-id": "c",
        "reply-to": "r",
        "expiration": "1000",
        "message-id": "m",
        "timestamp": Timestamp(2**40),
        "type": "t",
        "user-id": "u",
        "app-id": "a",
        "cluster-id": "x",
    }
    payload = frame_writer.header_payload(BASIC, 5, properties)
    assert frame_writer.read_properties(SPEC, payload[12:]) == properties


def test_an_unknown_property_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown message properties: colour"):
        frame_writer.header_payload(BASIC, 5, {"colour": "red"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (frame_writer.frame(frame_writer.METHOD, 1, b"\x00\x3c\xff\xff"), "unknown class or number"),
        (frame_writer.frame(frame_writer.METHOD, 1, b"\x00\x32\x00\x0b\x05ab"), "cut short"),
        (frame_writer.frame(frame_writer.HEADER, 1, b"\x00\x3c"), "cut short"),
        (frame_writer.frame(7, 1, b"x"), "frame type 7 is unknown"),
    ],
)
def test_a_frame_that_cannot_be_read_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        frame_writer.unpack(SPEC, data)


@given(st.sampled_from([1, 2, 3, 8]), st.binary(max_size=40))
def test_random_payloads_raise_only_errors_of_the_protocol(kind: int, payload: bytes) -> None:
    try:
        frame = frame_writer.unpack(SPEC, frame_writer.frame(kind, 1, payload))
    except (FrameError, FieldError):
        return
    assert frame.channel == 1


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x80\x00\x05ab"])
def test_properties_that_are_cut_short_are_refused(raw: bytes) -> None:
    with pytest.raises(FrameError, match="cut short"):
        frame_writer.read_properties(SPEC, raw)


def test_more_property_flags_than_the_protocol_has_are_refused() -> None:
    with pytest.raises(FrameError, match="more property flags"):
        frame_writer.read_properties(SPEC, b"\x00\x01\x00\x00")


def test_settling_methods_are_what_the_specification_says() -> None:
    for data, name, arguments in (
        (frame_writer.acknowledge(5, 2**40, True), "ack", (2**40, True)),
        (frame_writer.acknowledge(5, 1, False), "ack", (1, False)),
        (frame_writer.reject(5, 7), "reject", (7, False)),
        (frame_writer.requeue(5, 8), "nack", (8, False, True)),
    ):
        frame = frame_writer.unpack(SPEC, data)
        assert (frame.channel, frame.payload.method.name, frame.payload.args) == (5, name, arguments)


@given(st.binary(max_size=100), st.integers(9, 40))
def test_a_body_is_split_into_frames_of_the_largest_size(body: bytes, largest: int) -> None:
    found = frame_writer.body_frames(1, body, largest)
    assert b"".join(data[7:-1] for data in found) == body
    assert all(len(data) == largest for data in found[:-1])
    assert all(8 < len(data) <= largest for data in found)
