from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.websockets.server.control_frames import CLOSE, PING, PONG, answer_pings
from tests.websockets.raw_socket import TEXT, frame


def masked(opcode: int, payload: bytes, mask: bytes) -> bytes:
    text = bytes(byte ^ mask[number % 4] for number, byte in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | len(payload))) + mask + text


@given(st.binary(max_size=125), st.binary(min_size=4, max_size=4), st.binary(max_size=10))
def test_the_pong_has_the_payload_of_the_ping(payload: bytes, mask: bytes, rest: bytes) -> None:
    ping = masked(PING, payload, mask)
    end, pongs = answer_pings(ping + rest, 1, lambda opcode: True)
    assert (end, pongs) == (len(ping), bytes((0x8A, len(payload))) + payload)


def test_pongs_and_unwelcome_pings_are_not_answered() -> None:
    seen: list[int] = []

    def on_frame(opcode: int) -> bool:
        seen.append(opcode)
        return len(seen) != 2

    data = frame(PONG, b"a") + frame(PING, b"b") + frame(PING, b"c")
    assert answer_pings(data, 10, on_frame) == (len(data), b"\x8a\x01c")
    assert seen == [PONG, PING, PING]


def test_at_most_so_many_at_once() -> None:
    end, pongs = answer_pings(frame(PING) * 5, 3, lambda opcode: True)
    assert (end, pongs) == (18, b"\x8a\x00" * 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        frame(PING)[:-1],
        frame(PING, b"abc")[:-1],
        frame(CLOSE),
        frame(TEXT, b"{}"),
        frame(PING, fin=False),
        b"\xc9" + frame(PING)[1:],
        b"\x89\x00" + bytes(8),
        frame(PING, b"x" * 126),
    ],
    ids=[
        "nothing",
        "half-head",
        "half-payload",
        "close",
        "text",
        "fragment",
        "extension",
        "unmasked",
        "long",
    ],
)
def test_other_frames_are_left_to_autobahn(data: bytes) -> None:
    assert answer_pings(data, 10, lambda opcode: True) == (0, b"")
