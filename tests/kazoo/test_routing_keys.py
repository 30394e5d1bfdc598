from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kazoo_bridge import kazoo


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("abc-DEF_1~", "abc-DEF_1~"),
        ("a.b", "a%2Eb"),
        ("sip.example.com", "sip%2Eexample%2Ecom"),
        ("two words", "two+words"),
        ("1+1", "1%2B1"),
        ("100%", "100%25"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("a/b@c", "a%2Fb%40c"),
        ("*", "*"),
        ("#", "#"),
        ("**", "%2A%2A"),
        ("#1", "%231"),
        ("", ""),
    ],
)
def test_ids_in_routing_keys(text: str, part: str) -> None:
    assert kazoo.encode_key_part(text) == part
    assert kazoo.decode_key_part(part) == text


@given(st.text())
def test_encoding_an_id_is_reversible(text: str) -> None:
    assert kazoo.decode_key_part(kazoo.encode_key_part(text)) == text


@given(st.text().filter(lambda text: text not in ("*", "#")))
def test_an_encoded_id_is_one_plain_word(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_~+%-]*", kazoo.encode_key_part(text))


@given(st.text())
@example("%")
@example("%zz")
@example("%FF")
@example("\ud800")
def test_any_text_at_all_can_be_decoded(part: str) -> None:
    assert isinstance(kazoo.decode_key_part(part), str)


def test_lower_case_escapes_and_broken_utf8() -> None:
    assert kazoo.decode_key_part("a%2eb") == "a.b"
    assert kazoo.decode_key_part("a%FFb") == "a\ufffdb"


def test_only_the_exchange_of_replies_is_direct() -> None:
    assert {name for name, kind in kazoo.EXCHANGES.items() if kind != "topic"} == {kazoo.TARGETED}
