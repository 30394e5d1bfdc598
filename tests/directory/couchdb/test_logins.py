"""Logins with API keys; those of users are in `test_user_logins`."""

from __future__ import annotations

import pytest
from attrs import evolve

from kazoo_bridge.couchdb.names import ACCOUNTS, SYSTEM_CONFIG, account_database
from kazoo_bridge.directory.couchdb.logins import LOGIN_TTL, MAX_API_KEY_LENGTH
from kazoo_bridge.interfaces import Principal
from tests.couchdb.kazoo_cluster import CUSTOMER, USER
from tests.directory.couchdb.harness import NOW, DirectoryHarness, error_of, result_of

CUSTOMER_DB = account_database(CUSTOMER)


def test_an_api_key_makes_a_token_like_kazoo_s() -> None:
    harness = DirectoryHarness()
    login = result_of(harness.directory.login(CUSTOMER * 2))
    assert login is not None
    token, principal = login
    assert principal == Principal(CUSTOMER, False, NOW + LOGIN_TTL)
    assert harness.principal(token) == principal
    harness.stop()


@pytest.mark.parametrize("api_key", ["", "unknown", CUSTOMER, "x" * 5000, "\ud800"])
def test_any_other_api_key_makes_none(api_key: str) -> None:
    harness = DirectoryHarness()
    assert result_of(harness.directory.login(api_key)) is None
    harness.stop()


def test_a_disabled_account_gets_none() -> None:
    harness = DirectoryHarness()
    harness.couch.update(ACCOUNTS, CUSTOMER, pvt_enabled=False)
    assert result_of(harness.directory.login(CUSTOMER * 2)) is None
    harness.stop()


@pytest.mark.parametrize("missing", ["system_config", "key", "secret"])
def test_without_what_kazoo_signs_with_there_is_no_token(missing: str) -> None:
    harness = DirectoryHarness()
    if missing == "system_config":
        harness.couch.update(SYSTEM_CONFIG, "auth", default={})
    elif missing == "key":
        harness.couch.attachments.clear()
    else:
        harness.couch.update(CUSTOMER_DB, CUSTOMER, pvt_signature_secret=None)
    error_of(harness.directory.login(CUSTOMER * 2))
    harness.stop()


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
