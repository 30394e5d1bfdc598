"""Logins: tokens for API keys and for users, minted as KAZOO does: they are valid there, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.directory.couchdb.account_records import AccountRecord
from kazoo_bridge.directory.couchdb.accounts import CouchAccounts
from kazoo_bridge.directory.couchdb.kazoo_token import mint_token
from kazoo_bridge.directory.couchdb.numbers import CouchNumbers
from kazoo_bridge.directory.couchdb.secrets import CouchSecrets, settings_missing
from kazoo_bridge.directory.couchdb.user_logins import check_login_allowed, find_user, wrong_credentials
from kazoo_bridge.interfaces import Principal, StorageUnavailable, UserLogin
from kazoo_bridge.kazoo import dialled_number

#: Seconds for which a token is valid, like KAZOO's default.
LOGIN_TTL = 3600

MAX_API_KEY_LENGTH = 4096


class CouchLogins:
    """Checks credentials, and mints tokens. Call it once the accounts are loaded."""

    def __init__(
        self,
        clock: IReactorTime,
        client: CouchClient,
        accounts: CouchAccounts,
        secrets: CouchSecrets,
        numbers: CouchNumbers,
    ) -> None:
        self._clock = clock
        self._client = client
        self._accounts = accounts
        self._secrets = secrets
        self._numbers = numbers

    async def with_api_key(self, api_key: str) -> tuple[str, Principal] | None:
        """Return a token for the API key of an active account, and its principal; None for any other key.

        Raises `LoginRefused` and `StorageUnavailable`.
        """
        if not 0 < len(api_key) <= MAX_API_KEY_LENGTH:
            return None
        record = self._accounts.find_api_key(api_key)
        if record is None or not record.is_active(self._clock.seconds()):
            return None
        return await self._mint(record, "cb_api_auth", None)

    async def of_user(self, credentials: Mapping[str, Any]) -> UserLogin:
        """Return the login of a user. Raises `LoginRefused` and `StorageUnavailable`."""
        accounts = await self._accounts_of(credentials)
        found = await find_user(self._client, accounts, credentials, self._clock.seconds())
        token, principal = await self._mint(found.account, "cb_user_auth", found.user_id)
        return UserLogin(token, principal, found.to_api())

    async def _accounts_of(self, credentials: Mapping[str, Any]) -> list[AccountRecord]:
        """Return the accounts that a login may mean: by number, else by realm, else by name, like KAZOO."""
        number = dialled_number(credentials.get("phone_number"))
        if number is not None:
            looking = self._numbers.look_up(number)
            if looking is not None:
                await looking
            owner = self._numbers.owner(number)
            record = None if owner is None else self._accounts.find(owner)
            if record is not None:
                return [record]
        names = await self._accounts.names()
        account_ids = names.by_realm(credentials.get("account_realm", credentials.get("realm")))
        account_ids = account_ids or names.by_name(credentials.get("account_name"))
        return [record for one in account_ids if (record := self._accounts.find(one)) is not None]

    async def _mint(self, record: AccountRecord, method: str, user_id: str | None) -> tuple[str, Principal]:
        await check_login_allowed(self._client, record, method)
        settings = await self._secrets.auth_settings()
        if settings is None or settings.secret is None or settings.key_id is None:
            raise settings_missing()
        key = await self._secrets.private_key(settings.key_id)
        identity = await self._secrets.identity(record.id, user_id or record.id)
        if identity is not None and not identity.enabled:
            raise wrong_credentials()  # the view that has found a user may be older than its document
        if key is None or identity is None or identity.secret is None:
            raise StorageUnavailable(
                f"no token can be made for account {record.id}: the document of account or user has no "
                "pvt_signature_secret, or system_auth no key of system_config/auth.default.system_key"
            )
        expires = int(self._clock.seconds()) + LOGIN_TTL
        claims = {"account_id": record.id, "method": method, "exp": expires}
        claims |= {} if user_id is None else {"owner_id": user_id}
        token = mint_token(claims, settings.key_id, key, identity.secret, settings.secret)
        return token, Principal(record.id, record.superadmin, float(expires), user_id=user_id)
