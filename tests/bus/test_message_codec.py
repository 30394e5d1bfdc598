"""JSON and gzip: decoding refuses everything else, and says why."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.bus import message_codec
from kazoo_bridge.bus.message_codec import DecodeError, decode, encode, estimated_memory
from kazoo_bridge.kazoo import Event, normalize

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
bodies = st.dictionaries(st.text(max_size=12), json_values, max_size=6)


def decoded(raw: bytes, content_encoding: str | None = None) -> Event:
    return decode("callevt", "call.X.1", raw, content_encoding, False)


@given(bodies)
def test_an_encoded_body_is_decoded_again(body: dict[str, Any]) -> None:
    raw = encode(body)
    assert decode("im", "sms.ключ", raw, None, True) == Event("im", "sms.ключ", body, raw, True)


@given(bodies)
def test_gzipped_bodies_are_decompressed(body: dict[str, Any]) -> None:
    event = decoded(gzip.compress(encode(body)), " GZip ")
    assert event.body == body
    assert event.raw == encode(body)


@given(st.binary(max_size=200), st.sampled_from([None, "", "gzip", "identity", "br"]))
def test_random_bytes_raise_only_decode_errors(raw: bytes, content_encoding: str | None) -> None:
    with suppress(DecodeError):
        assert isinstance(decoded(raw, content_encoding).body, dict)


@pytest.mark.parametrize(
    ("raw", "content_encoding", "reason"),
    [
        (b"", None, "the body of 0 bytes is not JSON: .* at byte 0"),
        ('{"üü": ]'.encode(), None, "the body of 10 bytes is not JSON: .* at byte 9"),
        (b'{"a": "secret', None, "not JSON: (?!.*secret)"),
        (b'{"a":"\xff', None, "not JSON: .*UTF-8"),
        (b'{"a":nan}', None, "not JSON"),
        (b"[1]", None, "an array and not an object"),
        (b'"x"', None, "a string and not an object"),
        (b"1.5", None, "a number and not an object"),
        (b"true", None, "true or false and not an object"),
        (b"null", None, "null and not an object"),
        (b"{}", "br", "content encoding 'br' is unknown, expected gzip"),
        (b"{}", "gzip", "not gzip as announced"),
        (gzip.compress(b"{}")[:-4], "gzip", "cut off"),
        (gzip.compress(b"{}") + b"x", "gzip", "1 bytes follow the end"),
        (gzip.compress(b"[]"), "gzip", "an array"),
        (zlib.compress(b"{}"), "gzip", "not gzip as announced"),
        (b"[" * 5000, None, "nested deeper"),
    ],
)
def test_a_decode_error_names_the_reason(raw: bytes, content_encoding: str | None, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decoded(raw, content_encoding)


def test_nesting_is_limited() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + b"1" + b"}" * depth

    normalize(decoded(nested(message_codec.MAX_DEPTH)).body)
    with pytest.raises(DecodeError, match=f"deeper than {message_codec.MAX_DEPTH} levels"):
        decoded(nested(message_codec.MAX_DEPTH + 1))
    wide = b'{"a":[' + b",".join([b"[{}]"] * 500) + b"]}"
    assert len(decoded(wide).body["a"]) == 500


def test_brackets_in_strings_do_not_count_as_nesting() -> None:
    assert decoded(encode({"a": "[{" * 500})).body == {"a": "[{" * 500}


def test_a_zip_bomb_is_refused_before_it_is_decompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_codec, "MAX_DECOMPRESSED_BYTES", 1000)
    assert len(decoded(gzip.compress(b'{"a":"' + b"x" * 992 + b'"}'), "gzip").raw) == 1000
    with pytest.raises(DecodeError, match="more than 1000 bytes"):
        decoded(gzip.compress(b'{"a":"' + b"x" * 993 + b'"}'), "gzip")
    with pytest.raises(DecodeError, match="more than 1000 bytes"):
        decoded(gzip.compress(b" " * 50_000_000), "gzip")


def test_any_mapping_is_an_object() -> None:
    assert (
        encode(MappingProxyType({"a": MappingProxyType({"b": [MappingProxyType({})]})}))
        == b'{"a":{"b":[{}]}}'
    )


circular: dict[str, Any] = {}
circular["self"] = circular


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"a": b"bytes"}, "type bytes|not JSON serializable: bytes"),
        ({"a": {1, 2}}, "set"),
        ({1: 2}, "key must be str"),
        ({"a": "\ud800"}, "UTF-8"),
        ({"a": 2**70}, "64-bit"),
        ([1], "a message is a JSON object, not list"),
        (circular, "[Rr]ecursion"),
    ],
)
def test_values_that_json_cannot_hold_are_named(body: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode(body)


def test_a_small_body_counts_as_its_bytes_and_a_large_one_by_its_values() -> None:
    assert estimated_memory(b'{"a":[1,2,3]}') == 13
    values = b'{"a":[' + b"[]," * 10_000 + b"1]}"
    text = b'{"a":"' + b"x" * len(values) + b'"}'
    assert estimated_memory(values) > 50 * len(values)
    assert estimated_memory(text) < 1.1 * len(text)
