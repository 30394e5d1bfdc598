"""Field tables and strings: every type, both ways, and the result of plain txAMQP."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from txamqp.codec import Codec

from kazoo_bridge.bus.amqp.wire.errors import FieldError
from kazoo_bridge.bus.amqp.wire.field_table import (
    MAX_DEPTH,
    Timestamp,
    decode_table,
    encode_table,
    long_string,
    short_string,
)
from kazoo_bridge.bus.amqp.wire.frame_writer import FrameCodec

#: Type letter and octets of a value, and the value.
ON_THE_WIRE: list[tuple[bytes, Any]] = [
    (b"t\x01", True),
    (b"t\x00", False),
    (b"b\xff", -1),
    (b"B\xff", 255),
    (b"U\xff\xfe", -2),
    (b"s\xff\xfe", -2),
    (b"u\xff\xfe", 65534),
    (b"I\xff\xff\xff\xff", -1),
    (b"i\xff\xff\xff\xff", 4294967295),
    (b"l" + struct.pack("!q", -(2**40)), -(2**40)),
    (b"L" + struct.pack("!q", 2**40), 2**40),
    (b"f" + struct.pack("!f", 1.5), 1.5),
    (b"d" + struct.pack("!d", 0.1), 0.1),
    (b"D\x02\x00\x00\x04\xd2", Decimal("12.34")),
    (b"D\x01\xff\xff\xff\xfb", Decimal("-0.5")),
    (b"S\x00\x00\x00\x03\xe2\x82\xac", "€"),
    (b"S\x00\x00\x00\x02\xff\xfe", b"\xff\xfe"),
    (b"x\x00\x00\x00\x02\xff\xfe", b"\xff\xfe"),
    (b"x\x00\x00\x00\x02ab", b"ab"),
    (b"A\x00\x00\x00\x09t\x01V" + b"I\x00\x00\x00\x07" + b"V", [True, None, 7, None]),
    (b"F\x00\x00\x00\x04\x01at\x01", {"a": True}),
    (b"T" + struct.pack("!Q", 2**63 + 5), 2**63 + 5),
    (b"V", None),
]


def table_of(value: bytes) -> bytes:
    """A table with one field, named k."""
    body = b"\x01k" + value
    return struct.pack("!I", len(body)) + body


@pytest.mark.parametrize(("wire", "meaning"), ON_THE_WIRE)
def test_every_field_type_is_read(wire: bytes, meaning: Any) -> None:
    table, end = decode_table(b"??" + table_of(wire) + b"rest", 2)
    assert table == {"k": meaning}
    assert type(table["k"]) is type(meaning) or isinstance(table["k"], Timestamp)
    assert end == 2 + len(table_of(wire))


@pytest.mark.parametrize("wire", [wire for wire, _ in ON_THE_WIRE if wire[:1] not in b"tSIF"])
def test_plain_txamqp_reads_only_four_types(wire: bytes) -> None:
    with pytest.raises(ValueError):
        Codec(BytesIO(table_of(wire))).decode_table()
    assert FrameCodec(BytesIO(table_of(wire))).decode_table().keys() == {"k"}


@pytest.mark.parametrize("value", [-1, 2**40, 1.5, None, [1], b"\xff", {"a": 1}, Decimal("1.5")])
def test_plain_txamqp_writes_every_value_as_a_32_bit_integer(value: Any) -> None:
    stream = BytesIO()
    with pytest.raises((struct.error, TypeError)):
        Codec(stream).encode_table({"k": value})
    stream = BytesIO()
    FrameCodec(stream).encode_table({"k": value})
    assert decode_table(stream.getvalue())[0] == {"k": value}


def test_strings_are_measured_in_bytes() -> None:
    assert long_string("€") == b"\x00\x00\x00\x03\xe2\x82\xac"
    assert short_string("€") == b"\x03\xe2\x82\xac"


def test_plain_txamqp_measures_strings_in_characters() -> None:
    plain, right = BytesIO(), BytesIO()
    Codec(plain).encode_shortstr("größe")
    FrameCodec(right).encode_shortstr("größe")
    assert plain.getvalue()[0] == 5
    assert right.getvalue() == b"\x07" + "größe".encode()


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.builds(Timestamp, st.integers(0, 2**64 - 1)),
    st.builds(
        lambda unscaled, scale: Decimal(unscaled).scaleb(-scale),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(0, 20),
    ),
)
names = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=12)


@given(st.dictionaries(names, values))
def test_written_tables_are_read_back(table: dict[str, Any]) -> None:
    encoded = encode_table(table)
    assert decode_table(encoded) == (table, len(encoded))


@given(st.binary(max_size=80))
def test_random_bytes_raise_only_field_errors(data: bytes) -> None:
    try:
        table, end = decode_table(data)
    except FieldError:
        return
    assert isinstance(table, dict)
    assert end <= len(data)


def test_a_datetime_is_written_as_a_timestamp_in_seconds() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert decode_table(encode_table({"at": moment}))[0] == {"at": int(moment.timestamp())}


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        object(),
        {1, 2},
        Decimal("NaN"),
        Decimal("1E+30"),
        Decimal(2**31),
        Timestamp(-1),
        "\ud800",
    ],
)
def test_a_value_that_amqp_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(FieldError):
        encode_table({"k": value})


def test_a_name_longer_than_255_bytes_is_refused() -> None:
    assert short_string("ß" * 127)[0] == 254
    with pytest.raises(FieldError, match="256"):
        short_string("ß" * 128)


def test_tables_nested_too_deep_are_refused_both_ways() -> None:
    deep: Any = []
    for _ in range(MAX_DEPTH + 5):
        deep = [deep]
    with pytest.raises(FieldError, match="deep"):
        encode_table({"k": deep})
    wire = b"A\x00\x00\x00\x00"
    for _ in range(5000):
        wire = b"A" + struct.pack("!I", len(wire)) + wire
    with pytest.raises(FieldError, match="deep"):
        decode_table(table_of(wire))


@pytest.mark.parametrize("wire", [b"?", b"I\x00", b"S\x00\x00\x00\x09ab", b"F\x00\x00\x00\x02\x01"])
def test_a_broken_table_is_refused(wire: bytes) -> None:
    with pytest.raises(FieldError):
        decode_table(table_of(wire))
