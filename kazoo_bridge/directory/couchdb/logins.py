"""Creates tokens for API keys and users, as KAZOO's ``PUT /v2/api_auth`` and ``PUT /v2/user_auth`` do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
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

#: Seconds for which a created token is valid, like KAZOO's default.
LOGIN_TTL = 3600


@frozen
class CouchLogins:
    """Creates tokens that KAZOO accepts, too."""

    _clock: IReactorTime
    _client: CouchClient
    _accounts: CouchAccounts
    _numbers: CouchNumbers
    _secrets: CouchSecrets

    async def log_in_user(self, credentials: Mapping[str, Any]) -> UserLogin:
        """Create a token for a user. `credentials` are the data of the request.

        Raises `LoginRefused`, and `StorageUnavailable`.
        """
        accounts = await self._accounts_of_login(credentials)
        found = await find_user(self._client, accounts, credentials, self._clock.seconds())
        token, principal = await self.log_in(found.account, "cb_user_auth", found.user_id)
        return UserLogin(token, principal, found.to_api())

    async def log_in(
        self, record: AccountRecord, method: str = "cb_api_auth", user_id: str | None = None
    ) -> tuple[str, Principal]:
        """Create a token for an account or a user of it, and return it with its principal.

        `method` is the module of KAZOO's crossbar for such logins, which its configuration may switch off.
        Raises `LoginRefused`, and `StorageUnavailable`.
        """
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
        return token, Principal(record.id, record.superadmin, float(expires))

    async def _accounts_of_login(self, credentials: Mapping[str, Any]) -> list[AccountRecord]:
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
