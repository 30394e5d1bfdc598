"""The databases of a small KAZOO cluster: a master account, a reseller, its customers; users, devices, keys.

The shapes of the documents are those of ``core/kazoo_fixturedb`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from kazoo_bridge.couchdb.names import (
    ACCOUNTS,
    SYSTEM_AUTH,
    SYSTEM_CONFIG,
    WEBHOOKS,
    account_database,
    number_database,
)
from tests.couchdb import kazoo_tokens

MASTER, RESELLER, CUSTOMER, SIBLING, CHILD = (digit * 32 for digit in "abcde")
USER, DEVICE = "1" * 32, "2" * 32
KEY_ID = "f" * 32
SYSTEM_SECRET = "5ca1ab1e" * 4
NUMBER = "+14155550100"

#: Ids from the top account to the parent, as in ``pvt_tree``.
TREES = {
    MASTER: [],
    RESELLER: [MASTER],
    CUSTOMER: [MASTER, RESELLER],
    SIBLING: [MASTER, RESELLER],
    CHILD: [MASTER, RESELLER, CUSTOMER],
}
NAMES = {
    MASTER: "Master",
    RESELLER: "Fjord Telecom",
    CUSTOMER: "Solberg Instruments",
    SIBLING: "Nordlys Bakery",
    CHILD: "Solberg Service",
}


class Couch(Protocol):
    """What a CouchDB of the tests offers."""

    def create(self, database: str) -> None: ...
    def save(self, database: str, document: dict[str, Any]) -> Any: ...
    def attach(
        self, database: str, document_id: str, name: str, content: bytes, content_type: str
    ) -> None: ...


def secret_of(document_id: str) -> str:
    """Return the ``pvt_signature_secret`` that a document has at first."""
    return document_id[:1] * 8 + "0123456789abcdef" + "c0ffee00"


def account_document(account_id: str, **more: Any) -> dict[str, Any]:
    """Return an account's document, the same in its own database and in ``accounts``."""
    tree = TREES.get(account_id, [MASTER, RESELLER])
    document = {
        "_id": account_id,
        "name": NAMES.get(account_id, f"Account {account_id[:6]}"),
        "realm": f"{account_id[:6]}.sip.example.com",
        "timezone": "Europe/Oslo",
        "language": "en-US",
        "call_restriction": {},
        "notifications": {"low_balance": {"sent_low_balance": False}},
        "pvt_type": "account",
        "pvt_vsn": "1",
        "pvt_account_id": account_id,
        "pvt_account_db": account_database(account_id).replace("/", "%2F"),
        "pvt_tree": tree,
        "pvt_enabled": True,
        "pvt_reseller": account_id in (MASTER, RESELLER),
        "pvt_reseller_id": MASTER if account_id in (MASTER, RESELLER) else RESELLER,
        "pvt_api_key": account_id * 2,
        "pvt_signature_secret": secret_of(account_id),
        "pvt_created": 63636183145,
        "pvt_modified": 63667898685,
    }
    return document | ({"pvt_superduper_admin": True} if account_id == MASTER else {}) | more


def user_document(account_id: str, user_id: str = USER, **more: Any) -> dict[str, Any]:
    """Return a user's document."""
    return {
        "_id": user_id,
        "username": "ingrid",
        "first_name": "Ingrid",
        "last_name": "Solberg",
        "email": "ingrid@example.com",
        "priv_level": "admin",
        "enabled": True,
        "pvt_type": "user",
        "pvt_account_id": account_id,
        "pvt_account_db": account_database(account_id).replace("/", "%2F"),
        "pvt_signature_secret": secret_of(user_id),
    } | more


def device_document(account_id: str, device_id: str = DEVICE, **more: Any) -> dict[str, Any]:
    """Return a device's document."""
    return {
        "_id": device_id,
        "name": "Desk phone",
        "owner_id": USER,
        "enabled": True,
        "sip": {"username": "desk", "method": "password"},
        "pvt_type": "device",
        "pvt_account_id": account_id,
        "pvt_signature_secret": secret_of(device_id),
    } | more


class KazooCluster:
    """The databases of a cluster in a CouchDB of the tests, and the tokens that it mints."""

    def __init__(self, couch: Couch, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns the time in Unix seconds."""
        self.couch = couch
        self._clock = clock

    def populate(self) -> None:
        """Write every database."""
        for account_id in TREES:
            self.save_account(account_id)
        for document in (user_document(CUSTOMER), device_document(CUSTOMER)):
            self.couch.save(account_database(CUSTOMER), document)
        self.couch.create(WEBHOOKS)
        self.couch.save(
            number_database(NUMBER),
            {"_id": NUMBER, "pvt_type": "number", "pvt_state": "in_service", "pvt_assigned_to": CUSTOMER},
        )
        self.save_key()
        auth = {"secret_for_user_signature": SYSTEM_SECRET, "system_key": KEY_ID}
        self.couch.save(SYSTEM_CONFIG, {"_id": "auth", "pvt_type": "config", "default": auth})

    def save_account(self, account_id: str, **more: Any) -> None:
        """Write an account into both databases that have it."""
        document = account_document(account_id, **more)
        self.couch.save(account_database(account_id), document)
        self.couch.save(ACCOUNTS, document)

    def save_key(self, key_id: str = KEY_ID, name: str = "system") -> None:
        """Write a key that signs tokens."""
        self.couch.save(SYSTEM_AUTH, {"_id": key_id, "pvt_type": "system_key"})
        pem = kazoo_tokens.to_pem(kazoo_tokens.rsa_key(name))
        self.couch.attach(SYSTEM_AUTH, key_id, "private_key.pem", pem, "application/x-pem-file")

    def claims(self, account_id: str = CUSTOMER, **more: Any) -> dict[str, Any]:
        """Return the claims of a token. In `more`, None leaves a claim out, and `act_as` is ``as``."""
        claims = {"iss": "kazoo", "account_id": account_id, "exp": int(self._clock()) + 3600, **more}
        claims["as"] = claims.pop("act_as", None)
        identity_id = claims.get("device_id") or claims.get("owner_id") or account_id
        if "identity_sig" not in claims and isinstance(identity_id, str):
            secret = secret_of(identity_id)
            claims["identity_sig"] = kazoo_tokens.identity_signature(identity_id, secret, SYSTEM_SECRET)
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self,
        account_id: str = CUSTOMER,
        *,
        alg: str = "RS256",
        key: str = "system",
        kid: Any = KEY_ID,
        **more: Any,
    ) -> str:
        """Mint a token. In `more` are further claims, such as ``owner_id``."""
        header = {"alg": alg, "typ": "JWT", "kid": kid}
        claims = self.claims(account_id, **more)
        return kazoo_tokens.encode_token(header, claims, kazoo_tokens.rsa_key(key))
