from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.couchdb.names import SYSTEM_AUTH, SYSTEM_CONFIG, account_database
from kazoo_bridge.directory.couchdb.cached_reader import KNOWN_WAIT, Freshness
from kazoo_bridge.directory.couchdb.secrets import AuthSettings, CouchSecrets, Identity
from kazoo_bridge.kazoo import account_db
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.kazoo_cluster import CUSTOMER, KEY_ID, SYSTEM_SECRET, USER, KazooCluster, secret_of
from tests.couchdb.kazoo_tokens import rsa_key, to_pem
from tests.directory.couchdb.harness import result_of

DB = account_database(CUSTOMER)


class Harness:
    """The secrets of a fake CouchDB; `changes` counts what was reported."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.couch = FakeCouch()
        KazooCluster(self.couch, self.clock.seconds).populate()
        self.changes = 0
        client = self.couch.client(self.clock)
        self.secrets = CouchSecrets(self.clock, client, Freshness(5, 600), self.on_changed)

    def on_changed(self) -> None:
        self.changes += 1


def test_keys_identities_and_settings_are_read() -> None:
    secrets = Harness().secrets
    assert result_of(secrets.keys.get(KEY_ID)) == rsa_key().public_key()
    assert result_of(secrets.identity(CUSTOMER, USER)) == Identity(secret_of(USER))
    assert result_of(secrets.auth_settings()) == AuthSettings(SYSTEM_SECRET, KEY_ID)
    assert secrets.peek_identity(CUSTOMER, USER) == Identity(secret_of(USER))
    assert secrets.peek_settings() == AuthSettings(SYSTEM_SECRET, KEY_ID)
    assert result_of(secrets.private_key(KEY_ID)) is not None


def test_what_does_not_exist_is_none() -> None:
    secrets = Harness().secrets
    assert result_of(secrets.keys.get("9" * 32)) is None
    assert result_of(secrets.identity(CUSTOMER, "9" * 32)) is None
    assert result_of(secrets.identity("9" * 32, USER)) is None


@pytest.mark.parametrize(
    ("change", "identity"),
    [
        ({"enabled": False}, Identity(secret_of(USER), enabled=False)),
        ({"pvt_deleted": True}, Identity(secret_of(USER), enabled=False)),
        ({"pvt_signature_secret": None}, Identity(None)),
        ({"pvt_signature_secret": ""}, Identity(None)),
        ({"pvt_signature_secret": 7}, Identity(None)),
    ],
)
def test_identities_that_may_not_act(change: dict[str, Any], identity: Identity) -> None:
    harness = Harness()
    harness.couch.update(DB, USER, **change)
    assert result_of(harness.secrets.identity(CUSTOMER, USER)) == identity


@pytest.mark.parametrize("default", [None, "x", {}, {"secret_for_user_signature": 7, "system_key": ""}])
def test_settings_that_are_not_there(default: Any) -> None:
    harness = Harness()
    harness.couch.update(SYSTEM_CONFIG, "auth", default=default)
    assert result_of(harness.secrets.auth_settings()) == AuthSettings(None, None)


@pytest.mark.parametrize("pem", [b"", b"no PEM", to_pem(rsa_key())[:500], to_pem(rsa_key("small", 1024))])
def test_a_key_that_cannot_be_used_is_logged_and_none(pem: bytes) -> None:
    harness = Harness()
    harness.couch.attach(SYSTEM_AUTH, KEY_ID, "private_key.pem", pem)
    with capturedLogs() as logs:
        assert result_of(harness.secrets.keys.get(KEY_ID)) is None
    assert "key of CouchDB not used" in formatEvent(logs[0])


def test_a_missing_system_secret_is_logged_once() -> None:
    harness = Harness()
    harness.couch.delete(SYSTEM_CONFIG, "auth")
    with capturedLogs() as logs:
        for _ in range(2):
            assert result_of(harness.secrets.auth_settings()) == AuthSettings(None)
            harness.secrets.mark_all_old()
    (event,) = logs
    assert "system_config/auth has no default.secret_for_user_signature" in formatEvent(event)


def test_a_key_that_is_not_there_is_logged() -> None:
    with capturedLogs() as logs:
        assert result_of(Harness().secrets.keys.get("9\n9")) is None
    (event,) = logs
    assert formatEvent(event) == "token refused, its key is not in system_auth kid=9\\u000a9"


def test_while_couchdb_does_not_answer_a_token_waits_for_one_reader_only() -> None:
    harness = Harness()
    secrets = harness.secrets
    for known in (secrets.keys.get(KEY_ID), secrets.identity(CUSTOMER, USER), secrets.auth_settings()):
        result_of(known)
    harness.clock.advance(10)
    harness.couch.frozen = True
    waiting = secrets.keys.get(KEY_ID)
    harness.clock.advance(KNOWN_WAIT)
    assert result_of(waiting) == rsa_key().public_key()
    assert result_of(secrets.identity(CUSTOMER, USER)) == Identity(secret_of(USER))
    assert result_of(secrets.auth_settings()) == AuthSettings(SYSTEM_SECRET, KEY_ID)


def test_messages_about_what_is_known_are_reported() -> None:
    harness = Harness()
    for known, of_it in ((DB, USER), (SYSTEM_AUTH, KEY_ID), (SYSTEM_CONFIG, "auth")):
        harness.secrets.document_changed(known, of_it)
    assert harness.changes == 0
    result_of(harness.secrets.keys.get(KEY_ID))
    result_of(harness.secrets.identity(CUSTOMER, USER))
    result_of(harness.secrets.auth_settings())
    database: Any
    document_id: Any
    for database in (DB.replace("/", "%2F"), SYSTEM_AUTH, SYSTEM_CONFIG, "other", 7, None):
        for document_id in (USER, KEY_ID, "auth", 7, None):
            harness.secrets.document_changed(database, document_id)
    assert harness.changes == 3
    assert harness.secrets.peek_settings() is None
    assert harness.secrets.peek_identity(CUSTOMER, USER) is None


def test_secrets_are_not_shown() -> None:
    secrets = Harness().secrets
    shown = repr([result_of(secrets.identity(CUSTOMER, USER)), result_of(secrets.auth_settings())])
    assert SYSTEM_SECRET not in shown
    assert secret_of(USER) not in shown


class CountingClient:
    """Documents with a secret that a test may change; `reads` counts how often one was read."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.reads = 0

    async def find(self, database: str, document_id: str) -> dict[str, str]:
        self.reads += 1
        return {"pvt_signature_secret": self.secrets.get(document_id, "old")}


@pytest.mark.parametrize(
    ("count", "announced", "at_most"),
    [(500, False, 5), (1000, False, 10), (3000, False, 30), (3000, True, 0)],
)
def test_how_soon_a_reset_secret_counts_with_many_identities_in_use(
    count: int, announced: bool, at_most: int
) -> None:
    """As `docs/how-to/connect-couchdb.md` says, for the identity that is used last in each second, too."""
    clock, client = Clock(), CountingClient()
    secrets = CouchSecrets(clock, cast(CouchClient, client), Freshness(5, 3600), lambda: None)
    users = [f"user{number}" for number in range(count)]

    def use_all() -> str | None:
        """Return the secret of the last."""
        identities = [result_of(secrets.identity(CUSTOMER, user_id)) for user_id in users]
        return None if identities[-1] is None else identities[-1].secret

    for _ in range(15):
        use_all()
        clock.advance(1)
    reads = client.reads
    client.secrets[users[-1]] = "new"
    if announced:
        secrets.document_changed(account_db(CUSTOMER), users[-1])
    seconds = 0
    while use_all() == "old":
        clock.advance(1)
        seconds += 1
    assert seconds <= at_most
    assert client.reads - reads <= 100 * seconds + 200
    secrets.stop()
    assert clock.getDelayedCalls() == []
