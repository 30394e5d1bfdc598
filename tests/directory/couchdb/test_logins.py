"""Logins with API keys; those of users are in `test_user_logins`."""

from __future__ import annotations

from attrs import evolve

from kazoo_bridge.directory.couchdb.logins import LOGIN_TTL, MAX_API_KEY_LENGTH
from kazoo_bridge.interfaces import Principal
from tests.couchdb.kazoo_cluster import CUSTOMER, USER
from tests.directory.couchdb.harness import NOW, DirectoryHarness, error_of, result_of


def test_a_token_of_an_api_key_is_of_the_account_and_valid() -> None:
    harness = DirectoryHarness()
    login = result_of(harness.directory.login(CUSTOMER * 2))
    assert login is not None
    assert login[1] == Principal(CUSTOMER, expires=NOW + LOGIN_TTL)
    assert harness.principal(login[0]) == evolve(login[1], user_id=None)


def test_other_keys_are_refused() -> None:
    harness = DirectoryHarness()
    keys = ("", "x" * (MAX_API_KEY_LENGTH + 1), "none")
    assert [result_of(harness.directory.login(key)) for key in keys] == [None, None, None]


def test_before_the_accounts_are_loaded_nothing_can_be_said() -> None:
    harness = DirectoryHarness(started=False)
    error_of(harness.directory.login(CUSTOMER * 2))
    error_of(harness.directory.log_in_user({"credentials": "x"}))


def test_the_token_of_a_user_names_the_user() -> None:
    harness = DirectoryHarness()
    token = harness.cluster.token(CUSTOMER, owner_id=USER)
    principal = harness.principal(token)
    assert principal is not None
    assert principal.user_id == USER
