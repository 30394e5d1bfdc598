"""Logins of users with the hash of their name and password, like KAZOO's ``PUT /v2/user_auth``.

See ``applications/crossbar/src/modules/cb_user_auth.erl`` in ``2600hz/kazoo``. The views that find a user by
the hash are KAZOO's own, ``users/creds_by_md5`` and ``users/creds_by_sha``, in the account's database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from attrs import frozen

from kazoo_bridge.couchdb.client import CouchClient, DatabaseMissing
from kazoo_bridge.couchdb.names import SYSTEM_CONFIG, account_database
from kazoo_bridge.directory.couchdb.account_records import AccountRecord
from kazoo_bridge.interfaces import LoginRefused
from kazoo_bridge.kazoo import is_account_id, is_true

#: The views by the ``method`` of a login, and how many hexadecimal characters its hash has.
_VIEWS = {"md5": ("users/creds_by_md5", 32), "sha": ("users/creds_by_sha", 40)}

_NOT_IN_NAMES = re.compile("[^a-z0-9]+")

#: The category of KAZOO's configuration of logins.
_LOGIN_CONFIG = "crossbar.auth"

#: Accounts of one name in which a user is looked for.
MAX_ACCOUNTS = 10


@frozen
class FoundUser:
    """A user whose credentials are right."""

    account: AccountRecord
    user_id: str

    def to_api(self) -> dict[str, Any]:
        """Return what KAZOO answers about the user and the account, as far as it is known here."""
        data = {
            "account_id": self.account.id,
            "owner_id": self.user_id,
            "account_name": self.account.name,
            "reseller_id": self.account.reseller_id,
            "is_reseller": self.account.is_reseller,
            "is_master_account": self.account.superadmin,
        }
        return {key: value for key, value in data.items() if value is not None}


def normalize_name(name: object) -> str | None:
    """Return an account's name as KAZOO compares it: lower-case letters of ASCII and digits alone."""
    if not isinstance(name, str):
        return None
    return _NOT_IN_NAMES.sub("", name.lower()) or None


class AccountNames:
    """Finds accounts by realm and by name, both without regard to case.

    It takes about as much memory as the accounts themselves, so it is made for the first login of a user.
    """

    def __init__(self) -> None:
        self._ids: dict[str, set[str]] = {}

    def add(self, record: AccountRecord) -> None:
        """Add an account, which may have been added as it is before."""
        for key in _keys(record):
            self._ids.setdefault(key, set()).add(record.id)

    def remove(self, record: AccountRecord) -> None:
        """Remove an account as it was added; one that was not is ignored."""
        for key in _keys(record):
            ids = self._ids.get(key, set())
            ids.discard(record.id)
            if not ids:
                self._ids.pop(key, None)

    def by_realm(self, realm: object) -> list[str]:
        """Return the ids of the accounts with this realm."""
        return sorted(self._ids.get(f"realm {realm.lower()}", ())) if isinstance(realm, str) else []

    def by_name(self, name: object) -> list[str]:
        """Return the ids of the accounts with this name, as KAZOO compares names."""
        return sorted(self._ids.get(f"name {normalize_name(name)}", ()))


def _keys(record: AccountRecord) -> Iterator[str]:
    if record.realm:
        yield f"realm {record.realm.lower()}"
    name = normalize_name(record.name)
    if name:
        yield f"name {name}"


def wrong_credentials() -> LoginRefused:
    """Return KAZOO's refusal of a login."""
    return LoginRefused(401, "invalid_credentials", {"message": "invalid credentials"})


async def find_user(
    client: CouchClient, accounts: Sequence[AccountRecord], credentials: Mapping[str, Any], now: float
) -> FoundUser:
    """Return the user of a login in one of `accounts`.

    `credentials` are the data of the request. Raises `LoginRefused`, and `StorageUnavailable`.
    """
    digest, method = credentials.get("credentials"), credentials.get("method", "md5")
    view, length = _VIEWS.get(method, ("", 0)) if isinstance(method, str) else ("", 0)
    if not isinstance(digest, str) or not _is_hexadecimal(digest, length):
        raise wrong_credentials()
    for account in accounts[:MAX_ACCOUNTS]:
        user_id = await _user_of(client, account, view, digest)
        if user_id is None:
            continue
        if not account.is_active(now):
            word = "disabled" if not account.enabled else "expired"
            raise LoginRefused(400, "validation error", {"account": {word: {"message": f"account {word}"}}})
        return FoundUser(account, user_id)
    raise wrong_credentials()


async def check_login_allowed(client: CouchClient, account: AccountRecord, method: str) -> None:
    """Check that KAZOO's configuration of logins allows `method`, such as ``cb_user_auth``, without more.

    Where the cluster, the account or an account above switches the method off, or asks for a second factor,
    a login is refused: that is crossbar's to ask for. See ``applications/crossbar/src/crossbar_auth.erl``.

    Raises `LoginRefused`, and `StorageUnavailable`.
    """
    system = await client.find(SYSTEM_CONFIG, _LOGIN_CONFIG) or {}
    of_accounts = [
        await client.find(account_database(account_id), f"configs_{_LOGIN_CONFIG}")
        for account_id in (account.id, *account.ancestors)
    ]
    for configuration in (system.get("default"), *of_accounts):
        settings = _nested(configuration, "auth_modules", method)
        if settings.get("enabled", True) is False:
            raise LoginRefused(401, "invalid_credentials", {"message": f"{method} is disabled"})
        if is_true(_nested(settings, "multi_factor").get("enabled")):
            raise LoginRefused(
                401, "invalid_credentials", {"message": "a second factor is needed: use KAZOO"}
            )


def _nested(value: object, *names: str) -> Mapping[str, Any]:
    """Return the object under these names; an empty one if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


async def _user_of(client: CouchClient, account: AccountRecord, view: str, digest: str) -> str | None:
    database, options = account_database(account.id), {"key": digest}
    try:
        async with aclosing(
            client.pages(database, view, include_docs=False, page_size=1, options=options)
        ) as pages:
            async for rows in pages:
                value = rows[0].value
                user_id = value.get("owner_id") if isinstance(value, dict) else None
                return user_id if is_account_id(user_id) else None
    except DatabaseMissing:
        pass
    return None


def _is_hexadecimal(text: str, length: int) -> bool:
    return len(text) == length > 0 and all(one in "0123456789abcdef" for one in text)
