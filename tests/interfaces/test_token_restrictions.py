"""Token restrictions in both of KAZOO's forms."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kazoo_bridge.interfaces import AccessedPath, TokenRestrictions
from kazoo_bridge.interfaces.token_restrictions import MAX_PATTERN_LENGTH, MAX_PATTERNS, MAX_SEGMENTS

OWN, CHILD, OTHER = "a" * 32, "b" * 32, "c" * 32


def path(text: str) -> AccessedPath:
    segments = tuple(text.strip("/").split("/"))
    account_id = segments[1] if segments[0] == "accounts" else None
    return AccessedPath(segments, account_id, account_id == OWN, account_id == CHILD)


def test_the_id_of_a_call_names_no_endpoint() -> None:
    assert path(f"accounts/{OWN}/channels/c1/webhooks").endpoint() == ("channels", ("c1", "webhooks"))
    assert path(f"accounts/{OWN}/users/u1/channels").endpoint() == ("channels", ())
    assert path(f"accounts/{OWN}/webhooks/1/attempts").endpoint() == ("webhooks", ("1", "attempts"))


def allows(restrictions: Any, method: str, text: str) -> bool:
    return TokenRestrictions.parse(restrictions).allows(method, path(text))


@pytest.mark.parametrize(
    ("patterns", "method", "text", "allowed"),
    [
        ({"get": ["#"]}, "GET", f"accounts/{OWN}/webhooks", True),
        ({"get": ["#"]}, "HEAD", f"accounts/{OWN}/webhooks", True),
        ({"get": ["#"]}, "PUT", f"accounts/{OWN}/webhooks", False),
        ({"GET": ["#"]}, "GET", "token_auth", True),
        ({"*": ["#"]}, "DELETE", f"accounts/{OWN}/webhooks/1", True),
        ({"_": ["#"]}, "DELETE", f"accounts/{OWN}/webhooks/1", True),
        ({"get": [f"accounts/{OWN}/webhooks/#"]}, "GET", f"accounts/{OWN}/webhooks", True),
        ({"get": [f"accounts/{OWN}/webhooks/#"]}, "GET", f"accounts/{OWN}/webhooks/1/attempts", True),
        ({"get": [f"accounts/{OWN}/webhooks/#"]}, "GET", f"accounts/{OWN}/channels", False),
        ({"get": [f"accounts/{OWN}/webhooks/#"]}, "GET", f"accounts/{CHILD}/webhooks", False),
        ({"get": [f"accounts/{OWN}/webhooks/*"]}, "GET", f"accounts/{OWN}/webhooks", False),
        ({"get": [f"accounts/{OWN}/webhooks/*"]}, "GET", f"accounts/{OWN}/webhooks/1", True),
        ({"get": [f"accounts/{OWN}/webhooks/*"]}, "GET", f"accounts/{OWN}/webhooks/1/attempts", False),
        ({"get": ["#/attempts"]}, "GET", f"accounts/{OWN}/webhooks/attempts", True),
        ({"get": ["accounts/#/1/#"]}, "GET", f"accounts/{OWN}/webhooks/1/attempts", True),
        ({"get": ["*/*/webhooks"]}, "GET", f"accounts/{OTHER}/webhooks", True),
        ({"get": []}, "GET", "token_auth", False),
        ({"put": ["#"], "get": ["token_auth"]}, "GET", f"accounts/{OWN}", False),
        ({}, "GET", "token_auth", False),
    ],
)
def test_patterns_by_method(patterns: Any, method: str, text: str, allowed: bool) -> None:
    assert allows(patterns, method, text) is allowed


def rules(patterns: dict[str, list[str]], *accounts: str) -> dict[str, Any]:
    return {"rules": patterns} | ({"allowed_accounts": list(accounts)} if accounts else {})


@pytest.mark.parametrize(
    ("endpoints", "method", "text", "allowed"),
    [
        ({"webhooks": [rules({"/": ["GET"]})]}, "GET", f"accounts/{OWN}/webhooks", True),
        ({"webhooks": [rules({"/": ["GET"]})]}, "GET", f"accounts/{OWN}/webhooks/1", False),
        ({"webhooks": [rules({"/": ["GET"]})]}, "PUT", f"accounts/{OWN}/webhooks", False),
        ({"webhooks": [rules({"/": ["_"]})]}, "PUT", f"accounts/{OWN}/webhooks", True),
        ({"webhooks": [rules({"*": ["GET"]})]}, "GET", f"accounts/{OWN}/webhooks/1", True),
        ({"webhooks": [rules({"#": ["GET"]})]}, "GET", f"accounts/{OWN}/webhooks/1/attempts", True),
        ({"webhooks": [rules({"1/#": ["GET"]})]}, "GET", f"accounts/{OWN}/webhooks/1/attempts", True),
        ({"webhooks": [rules({"/": ["PATCH"]})]}, "PATCH", f"accounts/{OWN}/descendants/webhooks", True),
        ({"channels": [rules({"/": ["GET"]})]}, "GET", f"accounts/{OWN}/users/1/channels", True),
        ({"users": [rules({"#": ["GET"]})]}, "GET", f"accounts/{OWN}/users/1/channels", False),
        ({"accounts": [rules({"*": ["GET"]})]}, "GET", f"accounts/{OWN}", True),
        ({"accounts": [rules({"*": ["GET"]})]}, "GET", f"accounts/{OWN}/tree", False),
        ({"accounts": [rules({"#": ["GET"]})]}, "GET", f"accounts/{OWN}/webhooks", False),
        ({"token_auth": [rules({"/": ["GET"]})]}, "GET", "token_auth", True),
        ({"_": [rules({"#": ["GET"]})]}, "GET", f"accounts/{OWN}/webhooks", True),
        ({"_": [rules({"#": ["GET"]})], "webhooks": []}, "GET", f"accounts/{OWN}/webhooks", False),
        # The first rule that matches counts, not the best one.
        ({"webhooks": [rules({"#": ["GET"], "*": ["PUT"]})]}, "PUT", f"accounts/{OWN}/webhooks/1", False),
        # An id that reads like the name of a resource is an id.
        ({"users": [rules({"/": ["GET"]})]}, "GET", f"accounts/{OWN}/channels/users", False),
        ({"channels": [rules({"*": ["GET"]})]}, "GET", f"accounts/{OWN}/channels/users", True),
    ],
)
def test_rules_by_endpoint(endpoints: Any, method: str, text: str, allowed: bool) -> None:
    assert allows(endpoints, method, text) is allowed


@pytest.mark.parametrize(
    ("accounts", "account_id", "allowed"),
    [
        (["_"], OTHER, True),
        ([OWN], OWN, True),
        ([OWN], CHILD, False),
        (["{AUTH_ACCOUNT_ID}"], OWN, True),
        (["{AUTH_ACCOUNT_ID}"], CHILD, False),
        (["{DESCENDANT_ACCOUNT_ID}"], CHILD, True),
        (["{DESCENDANT_ACCOUNT_ID}"], OWN, False),
        (["{DESCENDANT_ACCOUNT_ID}"], OTHER, False),
        ([OTHER, "{AUTH_ACCOUNT_ID}"], OWN, True),
    ],
)
def test_allowed_accounts(accounts: list[str], account_id: str, allowed: bool) -> None:
    endpoints = {"webhooks": [rules({"/": ["GET"]}, *accounts)]}
    assert allows(endpoints, "GET", f"accounts/{account_id}/webhooks") is allowed


def test_the_first_entry_for_an_account_counts() -> None:
    endpoints = {"webhooks": [rules({"/": ["GET"]}, "{AUTH_ACCOUNT_ID}"), rules({"/": ["PUT"]})]}
    assert [allows(endpoints, method, f"accounts/{OWN}/webhooks") for method in ("GET", "PUT")] == [
        True,
        False,
    ]
    assert [allows(endpoints, method, f"accounts/{CHILD}/webhooks") for method in ("GET", "PUT")] == [
        False,
        True,
    ]


def test_only_rules_for_any_account_fit_a_path_without_one() -> None:
    assert allows({"token_auth": [rules({"/": ["GET"]}, "_")]}, "GET", "token_auth")
    assert not allows({"token_auth": [rules({"/": ["GET"]}, OWN)]}, "GET", "token_auth")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "get",
        {"get": "#"},
        {"get": ["#", 5]},
        {"get": ["#"], "put": [None]},
        {"get": ["#"], "webhooks": {}},
        {"get": ["#"], "webhooks": ["/"]},
        {"get": ["#"], "webhooks": [{"rules": []}]},
        {"get": ["#"], "webhooks": [{"rules": {"/": "GET"}}]},
        {"get": ["#"], "webhooks": [{"rules": {"/": [5]}}]},
        {"get": ["#"], "webhooks": [{"rules": {"/": ["GET"]}, "allowed_accounts": "_"}]},
        {"get": ["#"] * (MAX_PATTERNS + 1)},
        {"get": ["#", "x" * (MAX_PATTERN_LENGTH + 1)]},
        {"get": ["#"], "webhooks": [{"rules": {}}] * (MAX_PATTERNS + 1)},
        {"get": ["#"], "webhooks": [{"rules": {str(n): ["GET"] for n in range(MAX_PATTERNS + 1)}}]},
    ],
)
def test_what_cannot_be_understood_allows_nothing(value: Any) -> None:
    assert not allows(value, "GET", f"accounts/{OWN}/webhooks")
    assert TokenRestrictions.parse(value) == TokenRestrictions()


def test_many_wildcards_take_no_time() -> None:
    # As many as a token of 4096 characters can have.
    restrictions = TokenRestrictions.parse({"get": ["/".join(["#", "a"] * 120)] * 6})
    before = time.process_time()
    assert not restrictions.allows("GET", AccessedPath(("a",) * (MAX_SEGMENTS - 1) + ("b",)))
    assert not restrictions.allows("GET", AccessedPath(("a",) * 30_000 + ("b",)))
    assert time.process_time() - before < 0.5


def test_a_path_of_more_segments_than_any_of_rest_is_not_allowed() -> None:
    restrictions = TokenRestrictions.parse({"get": ["#"], "_": [rules({"#": ["_"]})]})
    assert restrictions.allows("GET", AccessedPath(("a",) * MAX_SEGMENTS))
    assert not restrictions.allows("GET", AccessedPath(("a",) * (MAX_SEGMENTS + 1)))


def test_restrictions_are_values() -> None:
    one, same = (TokenRestrictions.parse({"get": ["#"], "users": [rules({"/": ["_"]})]}) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
