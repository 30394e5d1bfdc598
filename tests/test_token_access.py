from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kazoo_bridge.interfaces import Account, Principal, StorageUnavailable, TokenRestrictions
from kazoo_bridge.token_access import may_access
from tests.directory.fakes import FakeDirectory

PARENT, CHILD, OTHER = "a" * 32, "b" * 32, "c" * 32


def directory() -> Any:
    return FakeDirectory(
        Account(PARENT, "", ""), Account(CHILD, "", "", (PARENT,)), Account(OTHER, "", "", ("d" * 32,))
    )


def allowed(restrictions: Any, method: str, path: str, source: Any = None) -> Any:
    parsed = None if restrictions is None else TokenRestrictions.parse(restrictions)
    principal = Principal(PARENT, restrictions=parsed)
    results: list[Any] = []
    asked = may_access(source or directory(), principal, method, path.split("/"))
    Deferred.fromCoroutine(asked).addCallbacks(results.append, lambda failure: results.append(failure.type))
    return results[0]


def test_a_token_without_restrictions_may_be_used_for_all() -> None:
    assert allowed(None, "DELETE", f"accounts/{OTHER}/webhooks/1") is True


@pytest.mark.parametrize(
    ("macro", "account_id", "expected"),
    [
        ("{AUTH_ACCOUNT_ID}", PARENT, True),
        ("{AUTH_ACCOUNT_ID}", CHILD, False),
        ("{DESCENDANT_ACCOUNT_ID}", CHILD, True),
        ("{DESCENDANT_ACCOUNT_ID}", OTHER, False),
        ("{DESCENDANT_ACCOUNT_ID}", "e" * 32, False),
        (OTHER, OTHER, True),
    ],
)
def test_accounts_of_rules(macro: str, account_id: str, expected: bool) -> None:
    rules = {"webhooks": [{"allowed_accounts": [macro], "rules": {"/": ["GET"]}}]}
    assert allowed(rules, "GET", f"accounts/{account_id}/webhooks") is expected
    assert allowed(rules, "PUT", f"accounts/{account_id}/webhooks") is False


def test_a_path_without_an_account() -> None:
    assert allowed({"get": ["token_auth"]}, "GET", "token_auth") is True
    assert allowed({"get": ["token_auth"]}, "GET", "accounts") is False


def test_a_directory_that_does_not_answer() -> None:
    away = directory()
    away.unavailable = True
    assert allowed({"get": ["#"]}, "GET", f"accounts/{CHILD}/webhooks", away) is StorageUnavailable
    assert allowed({"get": ["#"]}, "GET", f"accounts/{PARENT}/webhooks", away) is True
