"""Integers keep their digits, whatever their size; everything else is written as orjson writes it."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.json_writer import write_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert json.loads(write_json(value)) == value


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**999])
def test_integers_keep_their_digits(number: int) -> None:
    assert write_json({"a": [number]}) == b'{"a":[%d]}' % number


def test_options_and_defaults_apply_beside_long_integers() -> None:
    value = {1: {"n": 10**20}, "s": {2}, "nan": float("nan")}
    written = write_json(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    assert written == b'{"1":{"n":100000000000000000000},"s":"{2}","nan":null}'


circular: dict[str, Any] = {"n": 10**20}
circular["self"] = circular


@pytest.mark.parametrize("value", [{"a": {1, 2}}, {"a": 10**20, "b": b"bytes"}, {1: 2}, circular])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        write_json(value)


def test_mappings_of_any_kind_may_contain_long_integers() -> None:
    assert write_json(MappingProxyType({"n": 10**20}), default=dict) == b'{"n":100000000000000000000}'
