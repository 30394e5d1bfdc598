from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.webhooks.http import form_encoding
from kazoo_bridge.webhooks.http.form_encoding import encode_form
from kazoo_bridge.webhooks.http.payload_encoding import PayloadTooLarge, form_encode


class Word(StrEnum):
    YES = "ja &"


_text = st.text(max_size=8) | st.text("a=&% +\0é[]", max_size=8) | st.just("\ud800")
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | _text
    | st.sampled_from([Word.YES, b"bytes", {1}, "x" * 300])
    | st.just(5000).map(lambda digits: 10**digits),
    lambda inner: (
        st.dictionaries(_text | st.integers(0, 1), inner, max_size=4)
        | st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(_text, inner, max_size=2).map(MappingProxyType)
    ),
    max_leaves=15,
)
_payloads = st.dictionaries(
    _text | st.sampled_from(["call_id", "x" * 300, Word.YES, 7, b"b"]), _values, max_size=6
)


def result(encode: Any, payload: Any, limit: int, in_query: bool) -> object:
    try:
        encoded = encode(payload, limit, in_query=in_query)
    except Exception as error:
        return type(error), str(error)
    return encoded.encode("ascii") if isinstance(encoded, str) else encoded


@given(_payloads, st.sampled_from([0, 40, 1000, 3000, 10_000, 1_000_000]), st.booleans())
def test_every_payload_has_the_form_that_form_encode_gives(
    payload: dict[str, Any], limit: int, in_query: bool
) -> None:
    expected = result(form_encode, payload, limit, in_query)
    assert result(encode_form, payload, limit, in_query) == expected


@pytest.fixture
def without_the_exact_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **keywords: object) -> str:
        raise AssertionError("not encoded quickly")

    monkeypatch.setattr(form_encoding, "form_encode", refuse)


@pytest.mark.usefixtures("without_the_exact_encoder")
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"empty": {}, "none": None, "nan": float("nan")},
        {"a": "b c+%&=ž", "n": 1, "f": 1e22, "yes": True, "no": False, "none": None},
        {"vars": {"a b": {"c": [1, "x", {"d": 2}, ["e"]]}, "": "empty"}, "": "top"},
    ],
)
@pytest.mark.parametrize("in_query", [False, True])
def test_usual_payloads_are_encoded_quickly(payload: dict[str, Any], in_query: bool) -> None:
    for _ in ("first", "from memory"):
        assert encode_form(payload, in_query=in_query).decode() == form_encode(payload, in_query=in_query)


@pytest.mark.usefixtures("without_the_exact_encoder")
@pytest.mark.parametrize("value", ["x", "%", "ž", " "])
def test_the_limit_is_exact(value: str) -> None:
    payload = {"first": value * 2000, "second": {"key": 1}}
    size = len(form_encode(payload))
    assert len(encode_form(payload, size)) == size
    for limit in (size - 1, 1999, 1000):
        with pytest.raises(PayloadTooLarge, match=f"{limit} bytes"):
            encode_form(payload, limit)


@pytest.mark.parametrize(
    "payload",
    [
        {"x" * 200: {"y" * 20 + str(number): None for number in range(1000)}},
        {"x" * 200: [[], {}] * 1000},
    ],
)
def test_members_without_a_value_are_work_like_for_form_encode(payload: dict[str, Any]) -> None:
    for encode in (encode_form, form_encode):
        assert not encode(payload, 80_000)
        with pytest.raises(PayloadTooLarge):
            encode(payload, 40_000)


@pytest.mark.parametrize(
    "members", [[0] * 10**6, [[None] * 4000] * 4000, {str(n): None for n in range(10**5)}]
)
def test_what_may_be_too_much_work_is_not_begun(monkeypatch: pytest.MonkeyPatch, members: Any) -> None:
    monkeypatch.setattr(form_encoding, "form_encode", lambda *_, **__: "exact")
    collected = mock.Mock(wraps=form_encoding._collect)
    monkeypatch.setattr(form_encoding, "_collect", collected)
    assert encode_form({"a": members}) == b"exact"
    assert collected.call_count < 10


def names() -> Iterator[dict[str, str]]:
    level: Any = form_encoding._BODY._root
    pending = [level]
    while pending:
        level = pending.pop()
        yield level
        pending += level._nested.values()


def test_the_memory_for_names_is_bounded() -> None:
    for number in range(2 * form_encoding._MAX_NAMES):
        payload = {f"key{number}": {f"inner{number}": "x"}}
        assert encode_form(payload) == f"key{number}[inner{number}]=x".encode()
    assert sum(map(len, names())) <= form_encoding._MAX_NAMES + 2
