"""Answers of crossbar: what is not of the expected form grants nothing."""

from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.directory.crossbar.answers import (
    MAX_ANCESTORS,
    TokenClaims,
    is_token,
    read_account,
    read_ancestors,
    read_claims,
    read_descendants,
    read_login,
    read_owner,
    read_refusal,
)
from kazoo_bridge.directory.crossbar.http_client import CrossbarAnswer
from kazoo_bridge.interfaces import Account, StorageUnavailable, TokenRestrictions

A, B, C = "a" * 32, "b" * 32, "c" * 32


def answer(data: Any, status: int = 200, **more: Any) -> CrossbarAnswer:
    return CrossbarAnswer(status, {"status": "success" if status < 400 else "error", "data": data, **more})


def test_the_claims_of_a_token() -> None:
    data = {"account_id": A, "exp": 5, "owner_id": B, "restrictions": {"get": ["#"]}, "apps": []}
    restrictions = TokenRestrictions.parse({"get": ["#"]})
    assert read_claims(answer(data, auth_token="t"), "t") == TokenClaims(A, 5.0, restrictions, B)
    assert read_claims(answer({"account_id": A}), "t") == TokenClaims(A, None, None)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_token_that_is_refused(status: int) -> None:
    assert read_claims(answer({"account_id": A}, status), "t") is None


@pytest.mark.parametrize(
    "wrong",
    [
        answer({"account_id": A}, 404),
        answer({"account_id": A}, 202),
        answer({"account_id": A}, auth_token="another"),
        answer({"account_id": A}, auth_token=None),
        answer({}),
        answer(None),
        answer([A]),
        answer({"account_id": [A]}),
        answer({"account_id": A.upper()}),
        answer({"account_id": A, "exp": "5"}),
        answer({"account_id": A, "exp": True}),
        answer({"account_id": A, "exp": 1e300}),
        CrossbarAnswer(200, {"data": {"account_id": A}}),
        CrossbarAnswer(200, {"status": "error", "data": {"account_id": A}}),
    ],
)
def test_claims_that_grant_nothing(wrong: CrossbarAnswer) -> None:
    with pytest.raises(StorageUnavailable, match=r"^crossbar answered with"):
        read_claims(wrong, "t")


def test_restrictions_that_cannot_be_read_allow_nothing() -> None:
    claims = read_claims(answer({"account_id": A, "restrictions": "none"}), "t")
    assert claims is not None
    assert claims.restrictions == TokenRestrictions()


def test_an_account() -> None:
    data = {"id": A, "name": "Name", "realm": "realm", "superduper_admin": True, "enabled": False}
    assert read_account(answer(data), A) == Account(A, "Name", "realm", (), True, False)
    assert read_account(answer({"id": A}), A) == Account(A, "", "")
    for status in (403, 404):
        assert read_account(answer(data, status), A) is None


@pytest.mark.parametrize(
    "wrong", [answer({"id": B}), answer({}), answer([]), answer({"id": A}, 500), answer({"id": A}, 401)]
)
def test_an_answer_for_another_account_is_none(wrong: CrossbarAnswer) -> None:
    with pytest.raises(StorageUnavailable):
        read_account(wrong, A)


@pytest.mark.parametrize("value", [1, "true", "yes", [True], {}])
def test_only_true_makes_a_superadmin_or_enables(value: Any) -> None:
    data = {"id": A, "superduper_admin": value, "enabled": value, "name": value, "realm": 5}
    account = read_account(answer(data), A)
    assert account is not None
    assert (account.superadmin, account.enabled, account.realm) == (False, False, "")


def test_ancestors_are_turned_around() -> None:
    assert read_ancestors(answer([{"id": A, "name": "top"}, {"id": B}]), C) == (B, A)
    assert read_ancestors(answer([]), C) == ()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        "a",
        [A],
        [{"id": "x"}],
        [{}],
        [{"id": A}, {"id": A}],
        [{"id": C}],
        [{"id": f"{n:032x}"} for n in range(MAX_ANCESTORS + 1)],
    ],
)
def test_ancestors_that_cannot_be(data: Any) -> None:
    with pytest.raises(StorageUnavailable):
        read_ancestors(answer(data), C)


def test_a_page_of_descendants() -> None:
    assert read_descendants(answer([{"id": A}], next_start_key="k")) == ([A], "k")
    assert read_descendants(answer([])) == ([], None)
    for wrong in (
        answer([{"id": A}], next_start_key=5),
        answer([{}]),
        answer([], 403),
        answer([], next_start_key="x" * 9999),
    ):
        with pytest.raises(StorageUnavailable):
            read_descendants(wrong)


def test_the_owner_of_a_number() -> None:
    assert read_owner(answer({"account_id": A, "number": "+1"})) == A
    for status in (400, 403, 404):
        assert read_owner(answer({"account_id": A}, status)) is None
    for wrong in (answer({"account_id": "x"}), answer({}), answer({}, 500)):
        with pytest.raises(StorageUnavailable):
            read_owner(wrong)


def test_a_login() -> None:
    assert read_login(answer({"account_id": A}, 201, auth_token="t")) == ("t", A)
    for status in (400, 401, 403, 404):
        assert read_login(answer({"account_id": A}, status, auth_token="t")) is None
    for wrong in (
        answer({"account_id": A}),
        answer({"account_id": A}, auth_token="a\r\nb"),
        answer({"account_id": "x"}, auth_token="t"),
    ):
        with pytest.raises(StorageUnavailable):
            read_login(wrong)


@pytest.mark.parametrize("value", ["", None, 5, "a\n", "a\r\nX-Other: 1", "é", "x" * 4097, "a\x00"])
def test_what_is_no_token(value: Any) -> None:
    assert not is_token(value)


def test_an_answer_shows_no_secret_in_its_repr() -> None:
    assert "hunter2" not in repr(answer({}, auth_token="hunter2"))


def test_a_refusal_has_the_words_of_crossbar() -> None:
    refusal = read_refusal(answer({"message": "x"}, 401, message="invalid_credentials"))
    assert (refusal.status, refusal.word, refusal.data) == (401, "invalid_credentials", {"message": "x"})
    for wrong in (answer({}, 200, message="x"), answer({}, 401), answer({}, 401, message="x" * 9999)):
        with pytest.raises(StorageUnavailable):
            read_refusal(wrong)
