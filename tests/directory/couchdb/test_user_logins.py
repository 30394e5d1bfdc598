from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.couchdb.names import ACCOUNTS, SYSTEM_CONFIG, account_database
from kazoo_bridge.directory.couchdb.account_records import parse_all
from kazoo_bridge.directory.couchdb.user_logins import AccountNames, normalize_name
from kazoo_bridge.interfaces import LoginRefused, Principal
from tests.couchdb.kazoo_cluster import (
    CUSTOMER,
    MASTER,
    NUMBER,
    RESELLER,
    SIBLING,
    TREES,
    USER,
    account_document,
)
from tests.directory.couchdb.harness import NOW, DirectoryHarness, error_of, result_of

MD5 = hashlib.md5(b"ingrid:hunter2").hexdigest()
SHA1 = hashlib.sha1(b"ingrid:hunter2").hexdigest()


def creds_view(key_name: str, couch: Any) -> Any:
    """Return KAZOO's view ``users/creds_by_…``: enabled users by the hash of name and password."""

    def rows(database: str, query: dict[str, str]) -> list[dict[str, Any]]:
        return [
            {"id": one["_id"], "key": one[key_name], "value": {"owner_id": one["_id"]}}
            for one in couch.databases[database].values()
            if one.get(key_name) == json.loads(query["key"]) and one["enabled"]
        ]

    return rows


class Harness(DirectoryHarness):
    """A cluster whose user has a password."""

    def __init__(self) -> None:
        super().__init__()
        self.couch.views["users/creds_by_md5"] = creds_view("pvt_md5_auth", self.couch)
        self.couch.views["users/creds_by_sha"] = creds_view("pvt_sha1_auth", self.couch)
        self.couch.update(account_database(CUSTOMER), USER, pvt_md5_auth=MD5, pvt_sha1_auth=SHA1)

    def log_in(self, **credentials: Any) -> Any:
        return result_of(self.directory.log_in_user({"credentials": MD5} | credentials))

    def refusal(self, **credentials: Any) -> LoginRefused:
        login = self.directory.log_in_user({"credentials": MD5} | credentials)
        refused = SynchronousTestCase().failureResultOf(login, LoginRefused).value
        assert isinstance(refused, LoginRefused)
        return refused


@pytest.mark.parametrize(
    "credentials",
    [
        {"account_name": "Solberg Instruments"},
        {"account_name": "solberg-INSTRUMENTS"},
        {"account_realm": "cccccc.SIP.example.com"},
        {"realm": "cccccc.sip.example.com"},
        {"account_realm": "none.example.com", "account_name": "solberginstruments"},
        {"phone_number": NUMBER},
        {"phone_number": "+1 (415) 555-0199", "account_name": "solberginstruments"},
        {"account_name": "solberginstruments", "method": "sha", "credentials": SHA1},
    ],
    ids=str,
)
def test_a_user_logs_in_as_at_kazoo(credentials: dict[str, Any]) -> None:
    harness = Harness()
    login = harness.log_in(**credentials)
    assert login.principal == Principal(CUSTOMER, False, NOW + 3600, user_id=USER)
    assert login.data == {
        "account_id": CUSTOMER,
        "owner_id": USER,
        "account_name": "Solberg Instruments",
        "reseller_id": RESELLER,
        "is_reseller": False,
        "is_master_account": False,
    }
    assert harness.principal(login.token) == login.principal
    harness.couch.update(account_database(CUSTOMER), USER, pvt_signature_secret="new")
    harness.advance(5)
    assert harness.refused(login.token)
    harness.stop()


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"account_name": "Nordlys Bakery"},
        {"account_name": "none"},
        {"account_name": "!!!"},
        {"account_name": 7, "account_realm": 7, "phone_number": 7},
        {"account_name": "Solberg Instruments", "credentials": "0" * 32},
        {"account_name": "Solberg Instruments", "credentials": SHA1},
        {"account_name": "Solberg Instruments", "credentials": MD5.upper()},
        {"account_name": "Solberg Instruments", "credentials": ["x"]},
        {"account_name": "Solberg Instruments", "method": "plain"},
        {"account_name": "Solberg Instruments", "method": ["md5"]},
    ],
    ids=str,
)
def test_any_other_login_is_refused(credentials: dict[str, Any]) -> None:
    harness = Harness()
    assert (harness.refusal(**credentials).status, harness.refusal(**credentials).word) == (
        401,
        "invalid_credentials",
    )
    harness.stop()


def test_a_login_in_a_disabled_account_says_so_to_the_right_user_alone() -> None:
    harness = Harness()
    harness.couch.update(ACCOUNTS, CUSTOMER, pvt_enabled=False)
    refused = harness.refusal(account_name="Solberg Instruments")
    assert refused.status == 400
    assert refused.data == {"account": {"disabled": {"message": "account disabled"}}}
    wrong = harness.refusal(account_name="Solberg Instruments", credentials="0" * 32)
    assert wrong.status == 401
    harness.stop()


def test_a_user_that_an_old_view_still_has_gets_no_token() -> None:
    harness = Harness()
    row = {"id": USER, "key": MD5, "value": {"owner_id": USER}}
    harness.couch.views["users/creds_by_md5"] = lambda _database, _query: [row]
    assert harness.log_in(account_name="Solberg Instruments").principal.account_id == CUSTOMER
    harness.couch.update(account_database(CUSTOMER), USER, enabled=False)
    harness.announce(account_database(CUSTOMER), USER)
    assert harness.refusal(account_name="Solberg Instruments").status == 401
    harness.stop()


def test_accounts_of_one_name_are_all_tried() -> None:
    harness = Harness()
    harness.cluster.save_account(SIBLING, name="Solberg Instruments")
    assert harness.log_in(account_name="Solberg Instruments").principal.account_id == CUSTOMER
    harness.cluster.save_account(CUSTOMER, name="Renamed")
    assert harness.refusal(account_name="Solberg Instruments").status == 401
    assert harness.log_in(account_name="renamed").principal.account_id == CUSTOMER
    harness.couch.delete(ACCOUNTS, CUSTOMER)
    assert harness.refusal(account_name="renamed").status == 401
    harness.stop()


@pytest.mark.parametrize("database", [SYSTEM_CONFIG, *map(account_database, (CUSTOMER, RESELLER, MASTER))])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"enabled": False}, "cb_user_auth is disabled"),
        ({"multi_factor": {"enabled": True}}, "second factor"),
    ],
)
def test_a_login_that_kazoo_would_not_allow_without_more_is_refused(
    database: str, settings: dict[str, Any], words: str
) -> None:
    harness = Harness()
    configuration = {"auth_modules": {"cb_user_auth": settings}}
    if database == SYSTEM_CONFIG:
        harness.couch.save(database, {"_id": "crossbar.auth", "default": configuration})
    else:
        harness.couch.save(database, {"_id": "configs_crossbar.auth"} | configuration)
    refused = harness.refusal(account_name="Solberg Instruments")
    assert refused.status == 401
    assert words in refused.data["message"]
    # It is about users, not about API keys.
    assert result_of(harness.directory.login(CUSTOMER * 2)) is not None
    harness.stop()


def test_an_odd_configuration_of_logins_does_no_harm() -> None:
    harness = Harness()
    harness.couch.save(SYSTEM_CONFIG, {"_id": "crossbar.auth", "default": 7})
    odd = {"_id": "configs_crossbar.auth", "auth_modules": {"cb_user_auth": [7]}}
    harness.couch.save(account_database(CUSTOMER), odd)
    assert harness.log_in(account_name="Solberg Instruments") is not None
    harness.stop()


def test_a_cluster_without_the_view_refuses() -> None:
    harness = Harness()
    harness.couch.views.clear()
    assert harness.refusal(account_name="Solberg Instruments").status == 401
    harness.stop()


def test_while_couchdb_is_away_no_user_logs_in() -> None:
    harness = Harness()
    harness.go_away()
    error_of(harness.directory.log_in_user({"credentials": MD5, "account_name": "Solberg Instruments"}))


def test_names_are_compared_as_in_kazoo() -> None:
    assert normalize_name("Solberg & Sønner, 24/7") == "solbergsnner247"
    assert normalize_name("!") is None
    assert normalize_name(7) is None
    names = AccountNames()
    for record in parse_all(account_document(account_id) for account_id in TREES):
        names.add(record)
    assert names.by_name("fjordtelecom") == [RESELLER]
    assert names.by_name(None) == []
    assert names.by_realm("bbbbbb.sip.example.com") == [RESELLER]
    assert names.by_realm(None) == []
