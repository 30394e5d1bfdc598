from __future__ import annotations

import pytest

from kazoo_bridge.directory.ended_tokens import EndedTokens

TOKEN = "aGVhZA.Y2xhaW1z.c2lnbmF0dXJl"


@pytest.mark.parametrize("spelling", [TOKEN, f"{TOKEN}==", f"{TOKEN[:-1]}k", f"{TOKEN[:-3]}!{TOKEN[-3:]}"])
def test_a_signed_token_is_ended_with_every_spelling_of_its_signature(spelling: str) -> None:
    ended = EndedTokens(10)
    assert not ended.has(spelling, 5)
    ended.add(TOKEN, 10)
    assert ended.has(spelling, 9)
    assert not ended.has(spelling, 10)


@pytest.mark.parametrize("token", ["plain", "a.b", "a.b.c.d", "a.b.", "..", ""])
def test_any_other_token_is_ended_alone(token: str) -> None:
    ended = EndedTokens(10)
    ended.add(token, None)
    assert ended.has(token, 1e12)
    for other in (f"{token}x", f"x{token}", "b", TOKEN):
        assert not ended.has(other, 0)


def test_the_oldest_are_forgotten() -> None:
    ended = EndedTokens(2)
    for token in ("one", "two", "three"):
        ended.add(token, None)
    assert [ended.has(token, 0) for token in ("one", "two", "three")] == [False, True, True]
