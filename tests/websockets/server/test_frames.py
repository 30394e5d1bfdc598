from __future__ import annotations

import json
import zlib
from pathlib import PurePosixPath
from typing import Any

import pytest

from kazoo_bridge.websockets.server import frames
from kazoo_bridge.websockets.server.frames import (
    MIN_COMPRESSED_BYTES,
    CloseCode,
    EventFrame,
    encode_json,
    encode_notice,
    encode_reply,
    event_content,
    event_prefix,
    text_frame,
)


def unframe(frame: bytes) -> tuple[int, bytes]:
    """First byte and payload of a frame, decoded per RFC 6455."""
    length, start = frame[1], 2
    assert length < 128, "a server does not mask"
    if length == 126:
        length, start = int.from_bytes(frame[2:4], "big"), 4
        assert length > 125, "the shortest form is prescribed"
    elif length == 127:
        length, start = int.from_bytes(frame[2:10], "big"), 10
        assert length > 65535, "the shortest form is prescribed"
    assert len(frame) == start + length
    return frame[0], frame[start:]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 100_000])
def test_a_text_frame_has_the_shortest_header(length: int) -> None:
    assert unframe(text_frame(b"x" * length)) == (0x81, b"x" * length)


def test_a_compressed_frame_needs_no_context() -> None:
    text = b"0123456789" * 100
    first, payload = unframe(text_frame(text, deflate=True))
    assert first == 0xC1
    assert len(payload) < len(text)
    assert zlib.decompressobj(wbits=-15).decompress(payload + b"\x00\x00\xff\xff") == text
    assert text_frame(text, deflate=True) == text_frame(text, deflate=True)


def test_short_texts_are_not_compressed() -> None:
    assert unframe(text_frame(b"x" * (MIN_COMPRESSED_BYTES - 1), deflate=True))[0] == 0x81
    assert unframe(text_frame(b"x" * MIN_COMPRESSED_BYTES, deflate=True))[0] == 0xC1


def test_values_beyond_json_become_texts() -> None:
    assert json.loads(encode_json({"path": PurePosixPath("/a"), 5: "key"})) == {"path": "/a", "5": "key"}


def test_replies_and_notices() -> None:
    assert json.loads(encode_reply("r1", "success", {"a": 1})) == {
        "action": "reply",
        "request_id": "r1",
        "status": "success",
        "data": {"a": 1},
    }
    one, two = (json.loads(encode_notice(["wrong"], more=5)) for _ in range(2))
    assert one["data"] == {"errors": ["wrong"], "more": 5}
    assert (one["action"], one["status"]) == ("reply", "error")
    assert len({one["request_id"], two["request_id"]}) == 2


def make_event(data: Any = None) -> EventFrame:
    content = event_content("CHANNEL_CREATE", "call.x", data or {"a": 1})
    return EventFrame("call.*.*", event_prefix("call.*.*", "call.A.*.*"), content, 17)


def test_an_event_with_and_without_its_sequence() -> None:
    expected = {
        "action": "event",
        "subscribed_key": "call.*.*",
        "subscription_key": "call.A.*.*",
        "name": "CHANNEL_CREATE",
        "routing_key": "call.x",
        "data": {"a": 1},
    }
    event = make_event()
    assert json.loads(event.text(False)) == expected
    assert json.loads(event.text(True)) == {**expected, "sequence": 17}
    assert unframe(event.frame(True, False)) == (0x81, event.text(True))
    assert unframe(make_event({"a": "x" * 1000}).frame(False, True))[0] == 0xC1


def test_an_event_is_encoded_once_for_each_kind_of_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    event, encoded = make_event(), []
    encode = text_frame

    def counting(text: bytes, *, deflate: bool = False) -> bytes:
        encoded.append(deflate)
        return encode(text, deflate=deflate)

    monkeypatch.setattr(frames, "text_frame", counting)
    kinds = [(sequenced, deflate) for sequenced in (False, True) for deflate in (False, True)]
    results = [event.frame(*kind) for kind in kinds * 3]
    assert len(encoded) == 4
    assert len(set(results)) == 2  # too short to be compressed


def test_close_codes_are_those_that_a_server_may_send() -> None:
    assert all(code in (1000, 1001, 1011, 1013) or 4000 <= code <= 4999 for code in CloseCode)
