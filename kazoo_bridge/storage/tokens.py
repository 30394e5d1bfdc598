"""Tokens and API keys. The secret is seen once, by whoever it is made for; its SHA-256 is what is kept."""

from __future__ import annotations

import secrets
from hashlib import sha256

import sqlalchemy as sa
from attrs import field, frozen
from sqlalchemy import Connection, Table
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.accounts import UnknownAccount, exists
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import api_keys, tokens

_SECRET_BYTES = 32


@frozen
class IssuedToken:
    """A token just made. `expires` is in Unix seconds, None: never."""

    token: str = field(repr=False)
    account_id: str
    expires: float | None


@frozen
class StoredToken:
    """A token as it is kept. `expires` is in Unix seconds, None: never."""

    digest: str = field(repr=False)
    account_id: str
    expires: float | None


def secret_digest(secret: str) -> str:
    """The form in which a token or API key is kept and looked up: SHA-256, in hexadecimal."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class TokenStore:
    """Tokens and API keys, by digest. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, clock: IReactorTime, database: Database) -> None:
        self._clock = clock
        self._database = database

    def create(self, account_id: str, ttl: float | None = None) -> Deferred[IssuedToken]:
        """A fresh token, valid for `ttl` seconds (None: for ever); fails with `UnknownAccount`."""
        return self._database.write(
            lambda connection: create(connection, account_id, ttl, self._clock.seconds())
        )

    def lookup(self, digest: str) -> Deferred[StoredToken | None]:
        """The token of this digest unless it has expired."""
        return self._database.read(lambda connection: lookup(connection, digest, self._clock.seconds()))

    def revoke(self, token: str) -> Deferred[bool]:
        """Make a token invalid; fires with whether there was one."""
        return self._database.write(lambda connection: revoke(connection, token, self._clock.seconds()))

    def create_api_key(self, account_id: str) -> Deferred[str]:
        """A fresh API key; fails with `UnknownAccount`."""
        return self._database.write(
            lambda connection: create_api_key(connection, account_id, self._clock.seconds())
        )

    def account_of_api_key(self, digest: str) -> Deferred[str | None]:
        """The id of the account whose API key has this digest."""
        return self._database.read(
            lambda connection: connection.scalar(
                sa.select(api_keys.c.account_id).where(api_keys.c.digest == digest)
            )
        )

    def revoke_api_key(self, api_key: str) -> Deferred[bool]:
        """Make an API key invalid, not the tokens it has given; fires with whether there was one."""
        return self._database.write(
            lambda connection: revoke_api_key(connection, api_key, self._clock.seconds())
        )


def create(connection: Connection, account_id: str, ttl: float | None, now: float) -> IssuedToken:
    """A fresh token, valid for `ttl` seconds (None: for ever). Raises `UnknownAccount`."""
    token = secrets.token_hex(_SECRET_BYTES)
    expires = None if ttl is None else now + ttl
    _insert(connection, tokens, "token", token, account_id, now, expires=expires)
    return IssuedToken(token, account_id, expires)


def lookup(connection: Connection, digest: str, now: float) -> StoredToken | None:
    """The token of this digest unless it has expired."""
    row = connection.execute(
        sa.select(tokens.c.account_id, tokens.c.expires).where(tokens.c.digest == digest)
    ).first()
    if row is None or (row.expires is not None and row.expires <= now):
        return None
    return StoredToken(digest, row.account_id, row.expires)


def revoke(connection: Connection, token: str, now: float) -> bool:
    """Make a token invalid; returns whether there was one."""
    return _delete(connection, tokens, "token", token, now)


def create_api_key(connection: Connection, account_id: str, now: float) -> str:
    """A fresh API key. Raises `UnknownAccount`."""
    api_key = secrets.token_hex(_SECRET_BYTES)
    _insert(connection, api_keys, "api_key", api_key, account_id, now)
    return api_key


def revoke_api_key(connection: Connection, api_key: str, now: float) -> bool:
    """Make an API key invalid, not the tokens it has given; returns whether there was one."""
    return _delete(connection, api_keys, "api_key", api_key, now)


def purge(connection: Connection, now: float) -> int:
    """Forget expired tokens, which nobody would notice (so no change is recorded). Returns how many."""
    return connection.execute(sa.delete(tokens).where(tokens.c.expires <= now)).rowcount


def _insert(
    connection: Connection,
    table: Table,
    kind: str,
    secret: str,
    account_id: str,
    now: float,
    **more: float | None,
) -> None:
    change_log.lock_change_log(connection)
    if not exists(connection, account_id):
        raise UnknownAccount(account_id)
    digest = secret_digest(secret)
    connection.execute(sa.insert(table).values(digest=digest, account_id=account_id, created=now, **more))
    change_log.record(connection, kind, [digest], now)


def _delete(connection: Connection, table: Table, kind: str, secret: str, now: float) -> bool:
    digest = secret_digest(secret)
    found = connection.execute(sa.delete(table).where(table.c.digest == digest)).rowcount > 0
    if found:
        change_log.record(connection, kind, [digest], now)
    return found
