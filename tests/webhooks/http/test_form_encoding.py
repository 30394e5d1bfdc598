from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.webhooks.http.http_request import form_encode


@pytest.mark.parametrize(
    ("payload", "encoded"),
    [
        ({"a": "b"}, "a=b"),
        ({"a": {"b": {"c": "d"}}}, "a[b][c]=d"),
        ({"a": ["x", "y"]}, "a[]=x&a[]=y"),
        ({"yes": True, "no": False, "n": 3, "f": 1.5}, "yes=true&no=false&n=3&f=1.5"),
        ({"none": None, "empty": {}, "list": [], "text": ""}, "text="),
        ({"name": "Lémery & Söhne"}, "name=L%C3%A9mery+%26+S%C3%B6hne"),
        ({"a": [{"b": 1}]}, "a[][b]=1"),
        ({"Account-ID": "x.y_z~"}, "Account-ID=x.y_z~"),
        ({"a]b&c": "d"}, "a%5Db%26c=d"),
    ],
)
def test_as_kazoo_writes_it(payload: dict[str, Any], encoded: str) -> None:
    assert form_encode(payload) == encoded


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1, max_size=8)
_nested = st.recursive(
    _text | st.booleans() | st.integers(),
    lambda inner: st.dictionaries(_names, inner, min_size=1, max_size=3),
    max_leaves=12,
)


def _flatten(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for name, item in value.items()
            for pair in _flatten(f"{prefix}[{name}]" if prefix else name, item)
        ]
    return [(prefix, str(value).lower() if isinstance(value, bool) else str(value))]


@given(st.dictionaries(_names, _nested, max_size=4))
def test_an_independent_parser_reads_back_what_was_written(payload: dict[str, Any]) -> None:
    encoded = form_encode(payload)
    assert encoded.isascii()
    assert parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(encoded)) == _flatten("", payload)
