"""Tokens and API keys.

A secret is returned once, when it is created; its SHA-256 digest is what is stored.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

import sqlalchemy as sa
from attrs import field, frozen
from sqlalchemy import Connection, Table
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import AccountToken
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.accounts import UnknownAccount, exists
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import api_keys, tokens

#: Tokens that logins with one API key can have at the same time. A client that logs in for each request goes
#: on working beyond that: the oldest token ends.
MAX_TOKENS_PER_API_KEY = 100

#: Tokens of an account that are listed.
MAX_LISTED_TOKENS = 1000

_SECRET_BYTES = 32


@frozen
class IssuedToken:
    """A token just created, with its secret. `expires` is in Unix seconds, None: never."""

    token: str = field(repr=False)
    account_id: str
    expires: float | None


@frozen
class StoredToken:
    """A token as it is stored.

    `expires` is in Unix seconds, None: never. `restrictions` are JSON, None: there are none.
    """

    digest: str = field(repr=False)
    account_id: str
    expires: float | None
    restrictions: str | None = None


def secret_digest(secret: str) -> str:
    """Return the form in which a token or API key is stored and looked up: its SHA-256 in hexadecimal."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class TokenStore:
    """Tokens and API keys, by digest. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, clock: IReactorTime, database: Database) -> None:
        self._clock = clock
        self._database = database

    @staticmethod
    def digest(secret: str) -> str:
        """Return the digest under which a token or API key is stored; see `secret_digest`."""
        return secret_digest(secret)

    def create(
        self, account_id: str, ttl: float | None = None, restrictions: str | None = None
    ) -> Deferred[IssuedToken]:
        """Create a token that is valid for `ttl` seconds (None: for ever). Fails with `UnknownAccount`."""
        now = self._clock.seconds()
        return self._database.write(
            lambda connection: create(connection, account_id, ttl, now, restrictions=restrictions)
        )

    def log_in(self, api_key_digest: str, account_id: str, ttl: float) -> Deferred[IssuedToken]:
        """Create a token for a valid API key of the account; see `log_in`. Fails with `UnknownAccount`."""
        return self._database.write(
            lambda connection: log_in(connection, api_key_digest, account_id, ttl, self._clock.seconds())
        )

    def lookup(self, digest: str) -> Deferred[StoredToken | None]:
        """Read the token with this digest; None if it is unknown or expired."""
        return self._database.read(lambda connection: lookup(connection, digest, self._clock.seconds()))

    def revoke(self, token: str) -> Deferred[bool]:
        """Delete a token; fires with False if it is unknown."""
        return self._database.write(lambda connection: revoke(connection, token, self._clock.seconds()))

    def of_account(self, account_id: str) -> Deferred[list[AccountToken]]:
        """Read the valid tokens of an account, newest first, at most `MAX_LISTED_TOKENS`."""
        return self._database.read(
            lambda connection: of_account(connection, account_id, self._clock.seconds())
        )

    def revoke_of_account(self, account_id: str, digest: str) -> Deferred[bool]:
        """Delete the token of an account with this digest; fires with False if the account has no such."""
        return self._database.write(
            lambda connection: revoke_of_account(connection, account_id, digest, self._clock.seconds())
        )

    def create_api_key(self, account_id: str) -> Deferred[str]:
        """Create an API key and fire with it. Fails with `UnknownAccount`."""
        return self._database.write(
            lambda connection: create_api_key(connection, account_id, self._clock.seconds())
        )

    def account_for_api_key(self, digest: str) -> Deferred[str | None]:
        """Read the id of the account whose API key has this digest; None if the key is unknown."""
        account_id = sa.select(api_keys.c.account_id).where(api_keys.c.digest == digest)
        return self._database.read(lambda connection: connection.scalar(account_id))

    def has_api_key(self, account_id: str) -> Deferred[bool]:
        """Fire with True if the account has an API key."""
        found = sa.select(api_keys.c.digest).where(api_keys.c.account_id == account_id).limit(1)
        return self._database.read(lambda connection: connection.scalar(found) is not None)

    def renew_api_key(self, account_id: str) -> Deferred[str]:
        """Replace all API keys of the account by a new one and fire with it; see `renew_api_key`."""
        return self._database.write(
            lambda connection: renew_api_key(connection, account_id, self._clock.seconds())
        )

    def revoke_api_key(self, api_key: str) -> Deferred[bool]:
        """Delete an API key, and the tokens created with it; fires with False if it is unknown."""
        return self._database.write(
            lambda connection: revoke_api_key(connection, api_key, self._clock.seconds())
        )


def create(
    connection: Connection,
    account_id: str,
    ttl: float | None,
    now: float,
    *,
    api_key: str | None = None,
    restrictions: str | None = None,
) -> IssuedToken:
    """Create a token that is valid for `ttl` seconds (None: for ever) from `now` (Unix seconds).

    `api_key` is the digest of the API key that the token is made for. `restrictions` are JSON; None: there
    are none. Records the change. Raises `UnknownAccount`.
    """
    token = secrets.token_hex(_SECRET_BYTES)
    expires = None if ttl is None else now + ttl
    columns = {"expires": expires, "api_key": api_key, "restrictions": restrictions}
    _insert(connection, tokens, "token", token, account_id, now, **columns)
    return IssuedToken(token, account_id, expires)


def log_in(
    connection: Connection, api_key_digest: str, account_id: str, ttl: float, now: float
) -> IssuedToken:
    """Create a token for an API key; of more than `MAX_TOKENS_PER_API_KEY` of that key the oldest end.

    The token is valid for `ttl` seconds from `now` (Unix seconds). Records the changes. Raises
    `UnknownAccount`.
    """
    issued = create(connection, account_id, ttl, now, api_key=api_key_digest)
    surplus = list(
        connection.scalars(
            sa.select(tokens.c.digest)
            .where(tokens.c.api_key == api_key_digest, tokens.c.digest != secret_digest(issued.token))
            .order_by(tokens.c.created.desc(), tokens.c.digest)
            .offset(MAX_TOKENS_PER_API_KEY - 1)
        )
    )
    if surplus:
        connection.execute(sa.delete(tokens).where(tokens.c.digest.in_(surplus)))
        change_log.record(connection, "token", surplus, now)
    return issued


def lookup(connection: Connection, digest: str, now: float) -> StoredToken | None:
    """Return the token with this digest.

    None if it is unknown, or expired at the time `now` (Unix seconds).
    """
    row = connection.execute(
        sa.select(tokens.c.account_id, tokens.c.expires, tokens.c.restrictions).where(
            tokens.c.digest == digest
        )
    ).first()
    if row is None or (row.expires is not None and row.expires <= now):
        return None
    return StoredToken(digest, row.account_id, row.expires, row.restrictions)


def revoke(connection: Connection, token: str, now: float) -> bool:
    """Delete a token and record the change; returns False if it is unknown. `now` is in Unix seconds."""
    return _delete(connection, tokens, "token", token, now)


def of_account(connection: Connection, account_id: str, now: float) -> list[AccountToken]:
    """Return the tokens of an account that are valid at the time `now` (Unix seconds), newest first."""
    rows = connection.execute(
        sa.select(tokens)
        .where(tokens.c.account_id == account_id, sa.or_(tokens.c.expires.is_(None), tokens.c.expires > now))
        .order_by(tokens.c.created.desc(), tokens.c.digest)
        .limit(MAX_LISTED_TOKENS)
    )
    return [
        AccountToken(
            row.digest, row.created, row.expires, row.api_key is not None, row.restrictions is not None
        )
        for row in rows
    ]


def revoke_of_account(connection: Connection, account_id: str, digest: str, now: float) -> bool:
    """Delete a token of an account by its digest and record the change; returns False if there is none."""
    of_account = tokens.c.digest == digest, tokens.c.account_id == account_id
    found = connection.execute(sa.delete(tokens).where(*of_account)).rowcount > 0
    if found:
        change_log.record(connection, "token", [digest], now)
    return found


def create_api_key(connection: Connection, account_id: str, now: float) -> str:
    """Create an API key, record the change and return the key. Raises `UnknownAccount`."""
    api_key = secrets.token_hex(_SECRET_BYTES)
    _insert(connection, api_keys, "api_key", api_key, account_id, now)
    return api_key


def renew_api_key(connection: Connection, account_id: str, now: float) -> str:
    """Delete the API keys of an account and the tokens created with them; create a key and return it.

    Records the changes. Raises `UnknownAccount`.
    """
    change_log.lock_change_log(connection)
    former = list(connection.scalars(sa.select(api_keys.c.digest).where(api_keys.c.account_id == account_id)))
    of_former = tokens.c.account_id == account_id, tokens.c.api_key.is_not(None)
    ended = list(connection.scalars(sa.select(tokens.c.digest).where(*of_former)))
    connection.execute(sa.delete(tokens).where(*of_former))
    connection.execute(sa.delete(api_keys).where(api_keys.c.account_id == account_id))
    change_log.record(connection, "token", ended, now)
    change_log.record(connection, "api_key", former, now)
    return create_api_key(connection, account_id, now)


def revoke_api_key(connection: Connection, api_key: str, now: float) -> bool:
    """Delete an API key, and the tokens created with it; returns False if it is unknown.

    Records the changes.
    """
    of_key = tokens.c.api_key == secret_digest(api_key)
    digests = list(connection.scalars(sa.select(tokens.c.digest).where(of_key)))
    if digests:
        connection.execute(sa.delete(tokens).where(of_key))
        change_log.record(connection, "token", digests, now)
    return _delete(connection, api_keys, "api_key", api_key, now)


def purge(connection: Connection, now: float) -> int:
    """Delete the tokens that are expired at the time `now` (Unix seconds) and return how many.

    No change is recorded: to every reader an expired token is already invalid.
    """
    return connection.execute(sa.delete(tokens).where(tokens.c.expires <= now)).rowcount


def _insert(
    connection: Connection,
    table: Table,
    kind: str,
    secret: str,
    account_id: str,
    now: float,
    **columns: float | str | None,
) -> None:
    change_log.lock_change_log(connection)
    if not exists(connection, account_id):
        raise UnknownAccount(account_id)
    digest = secret_digest(secret)
    connection.execute(sa.insert(table).values(digest=digest, account_id=account_id, created=now, **columns))
    change_log.record(connection, kind, [digest], now)


def _delete(connection: Connection, table: Table, kind: str, secret: str, now: float) -> bool:
    digest = secret_digest(secret)
    found = connection.execute(sa.delete(table).where(table.c.digest == digest)).rowcount > 0
    if found:
        change_log.record(connection, kind, [digest], now)
    return found
