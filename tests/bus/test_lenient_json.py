"""What strict JSON refuses or rounds is read with as little loss as possible."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.bus.lenient_json import MAX_INTEGER_DIGITS, SHAPE, may_have_long_integer, parse_leniently

ICCID = 89014103211118510720


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":%d}' % ICCID, {"a": ICCID}),
        (b'{"a": [-%d, 1]}' % 2**80, {"a": [-(2**80), 1]}),
        (b'{"a":' + b"9" * MAX_INTEGER_DIGITS + b"}", {"a": 10**MAX_INTEGER_DIGITS - 1}),
        (b'{"a":' + b"9" * (MAX_INTEGER_DIGITS + 1) + b"}", {"a": None}),
        (b'{"a":' + b"9" * 100_000 + b"}", {"a": None}),
        (
            b'{"a":NaN,"b":[Infinity,-Infinity],"c":1e400,"d":-1e400}',
            {"b": [None, None], **dict.fromkeys("acd")},
        ),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'{"J\xf6rg":"J\xf6rg"}', {"J\ufffdrg": "J\ufffdrg"}),
        (b'{"a":"x\x00\x1b[31my"}', {"a": "x\ufffd\ufffd[31my"}),
        (b'{"a":"two\nlines\tand a tab"}', {"a": "two\nlines\tand a tab"}),
        (b'{"a\\ud800":["\\uDFFFx"]}', {"a\ufffd": ["\ufffdx"]}),
        (b'{"a":"\\ud83d\\ude00 \\ude00\\ud83d"}', {"a": "\U0001f600 \ufffd\ufffd"}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
    ],
)
def test_a_value_is_read(raw: bytes, value: Any) -> None:
    assert parse_leniently(raw) == value


@pytest.mark.parametrize("raw", [b"", b"{", b"{'a':1}", b'{"a":1}x', b'{"a":01}', b"\xff\xfe{\x00}\x00"])
def test_what_is_not_nearly_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_leniently(raw)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 900 + b'"\\ud800"' + b"}" * 900])
def test_deep_nesting_is_refused_or_read(raw: bytes) -> None:
    with pytest.raises(RecursionError):
        parse_leniently(raw)


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_value_errors(raw: bytes) -> None:
    try:
        parse_leniently(raw)
    except ValueError:
        return


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.booleans())))
def test_json_is_read_like_the_strict_parser_reads_it(value: dict[str, Any]) -> None:
    assert parse_leniently(json.dumps(value).encode()) == value


@given(st.integers(), st.sampled_from([b'{"a":%d}', b'{"a": %d }', b'{"a":[%d]}', b'{"a":[1,\n%d]}']))
def test_every_integer_that_the_strict_parser_would_round_is_noticed(number: int, form: bytes) -> None:
    raw = form % number
    noticed = may_have_long_integer(raw, raw.translate(SHAPE))
    if json.loads(raw) != orjson.loads(raw):
        assert noticed
    if abs(number) < 10**18:
        assert not noticed


def test_digits_within_a_string_are_no_integer() -> None:
    raw = b'{"Call-ID":"12345678901234567890123@192.0.2.1","a":"b:1234567890123456789"}'
    assert not may_have_long_integer(raw[:45], raw[:45].translate(SHAPE))
    # A colon before the digits looks like one: it is read correctly, only slower.
    assert may_have_long_integer(raw, raw.translate(SHAPE))
    assert parse_leniently(raw) == orjson.loads(raw)
