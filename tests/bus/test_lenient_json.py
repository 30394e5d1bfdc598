"""What strict JSON refuses or rounds is read with as little loss as possible."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.bus.lenient_json import LONG_INTEGER, MAX_INTEGER_DIGITS, SHAPE, parse_leniently

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


@given(st.integers())
def test_every_integer_that_the_strict_parser_would_round_is_noticed(number: int) -> None:
    raw = b'{"a":%d}' % number
    if orjson.loads(raw) != {"a": number} or not isinstance(orjson.loads(raw)["a"], int):
        assert LONG_INTEGER in raw.translate(SHAPE)
    if abs(number) < 10**18:
        assert LONG_INTEGER not in raw.translate(SHAPE)
