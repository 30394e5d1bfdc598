from __future__ import annotations

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
    shapes = form_encoding._Shapes
    made = mock.Mock(side_effect=shapes._make_shape)
    monkeypatch.setattr(shapes, "_make_shape", lambda *arguments: made(*arguments))
    assert encode_form({"a": members}) == b"exact"
    assert made.call_count < 10


# -- marks

_MARKED = st.text("\1\2\3\4\5\6 =&[]%+až", max_size=6)
_marked_payloads = st.dictionaries(
    _MARKED | st.just("key"),
    st.recursive(
        _MARKED | st.integers() | st.none(),
        lambda inner: st.dictionaries(_MARKED, inner, max_size=3) | st.lists(inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(_marked_payloads, st.sampled_from([10, 40, 10_000]), st.booleans())
def test_payloads_with_marks_have_the_same_form(payload: dict[str, Any], limit: int, in_query: bool) -> None:
    expected = result(form_encode, payload, limit, in_query)
    assert result(encode_form, payload, limit, in_query) == expected


@pytest.mark.parametrize("mark", form_encoding._MARKS)
@pytest.mark.parametrize("in_query", [False, True])
def test_a_mark_in_a_value_is_left_to_the_exact_encoder(
    monkeypatch: pytest.MonkeyPatch, mark: str, in_query: bool
) -> None:
    exact = mock.Mock(wraps=form_encode)
    monkeypatch.setattr(form_encoding, "form_encode", exact)
    for payload in ({"a": mark}, {"a": {"b": [f"x{mark}y"]}}):
        code = f"%0{ord(mark)}"
        opening, closing = ("%5B", "%5D") if in_query else "[]"
        expected = f"a={code}", f"a{opening}b{closing}{opening}{closing}=x{code}y"
        assert encode_form(payload, in_query=in_query).decode() == expected["b" in payload["a"]]
    assert exact.call_count == 2


@pytest.mark.usefixtures("without_the_exact_encoder")
@pytest.mark.parametrize("mark", form_encoding._MARKS)
def test_a_mark_in_a_name_is_encoded_quickly(mark: str) -> None:
    payload = {f"a{mark}": {f"{mark}b": 1}}
    for in_query in (False, True):
        assert encode_form(payload, in_query=in_query).decode() == form_encode(payload, in_query=in_query)


# -- shapes


@pytest.mark.usefixtures("without_the_exact_encoder")
def test_equal_names_with_values_of_other_types_have_their_own_shape() -> None:
    values: list[Any] = [
        True,
        1,
        1.5,
        "1",
        None,
        {},
        [],
        {"b": None},
        {"b": 1},
        [None, 2],
        float("inf"),
        "%s",
    ]
    for value in [*values, *reversed(values)]:
        payload = {"a": value, "z": "%d %%"}
        assert encode_form(payload).decode() == form_encode(payload)


def remembered() -> int:
    """How many members the shapes that are remembered have, and how many objects and lists have shapes."""
    total, pending = 0, [form_encoding._ENCODER._root]
    while pending:
        shapes = pending.pop()
        total += 1 + sum(1 + len(key) // 2 for key in shapes._by_key)
        pending += shapes._nested.values()
    return total


@pytest.mark.parametrize("kind", ["names", "nested names", "types", "lengths of lists"])
def test_the_memory_for_shapes_is_bounded(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(form_encoding, "_MAX_REMEMBERED", 500)
    for number in range(1000):
        if kind == "types":
            payload: dict[str, Any] = {str(bit): 1 if number >> bit & 1 else "x" for bit in range(10)}
        elif kind == "lengths of lists":
            payload = {"list": ["x"] * (number % 100)}
        elif kind == "names":
            payload = {f"key{number}": "x"}
        else:
            payload = {"key": {f"inner{number}": {"x": 1}}}
        assert encode_form(payload).decode() == form_encode(payload)
        # The latest payload may be added to what was within the bound.
        assert remembered() <= 500 + 1 + 110


def test_names_that_are_too_long_are_not_remembered() -> None:
    before = remembered()
    payload = {"x" * 300: 1}
    assert encode_form(payload).decode() == form_encode(payload)
    assert remembered() == before
