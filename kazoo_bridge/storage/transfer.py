"""Everything that an export has and an import writes: accounts, limits, numbers, hooks, API keys, tokens."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from attrs import evolve, frozen
from sqlalchemy import Connection

from kazoo_bridge.interfaces import AccountLimits, StoredHook
from kazoo_bridge.storage import accounts, change_log, hooks, phone_numbers
from kazoo_bridge.storage.accounts import StoredAccount, StoreRejected
from kazoo_bridge.storage.tables import account_limits, api_keys, tokens
from kazoo_bridge.storage.tables import hooks as hook_table

#: Hooks that are read at a time.
BATCH_SIZE = 500


@frozen
class StoredCredential:
    """An API key (`kind` ``api_key``) or a token (``token``) as it is stored: only its digest.

    `created` and `expires` (None: never, and always for API keys) are in Unix seconds. `api_key`: the digest
    of the key that a token was created with. `restrictions`: those of a token, as JSON; None: it has none.
    """

    kind: str
    digest: str
    account_id: str
    created: float
    expires: float | None = None
    api_key: str | None = None
    restrictions: str | None = None


@frozen
class Snapshot:
    """What is stored, by id; an import is compared with it. Planning an import updates it."""

    accounts: dict[str, StoredAccount]
    limits: dict[str, AccountLimits]
    numbers: dict[str, str]
    hooks: dict[str, StoredHook]
    credentials: dict[str, StoredCredential]


def read_snapshot(connection: Connection) -> Snapshot:
    """Read everything."""
    return Snapshot(
        {account.id: account for account in accounts.select_all(connection)},
        select_limits(connection),
        phone_numbers.select_all(connection),
        {hook.id: hook for hook in select_hooks(connection)},
        {credential.digest: credential for credential in select_credentials(connection)},
    )


def select_limits(connection: Connection) -> dict[str, AccountLimits]:
    """Return the own limits of all accounts that have some."""
    rows = connection.execute(sa.select(account_limits).order_by(account_limits.c.account_id))
    return {
        row.account_id: AccountLimits(row.attempt_failure_count, row.attempt_failure_expiry_ms)
        for row in rows
    }


def select_hooks(connection: Connection) -> Iterator[StoredHook]:
    """Yield all hooks, oldest first."""
    position = 0
    while True:
        batch, following = hooks.select_batch(connection, position, BATCH_SIZE)
        yield from batch
        if len(batch) < BATCH_SIZE:
            return
        position = following


def select_credentials(connection: Connection) -> Iterator[StoredCredential]:
    """Yield all API keys, then all tokens."""
    for row in connection.execute(sa.select(api_keys).order_by(api_keys.c.digest)):
        yield StoredCredential("api_key", row.digest, row.account_id, row.created)
    for row in connection.execute(sa.select(tokens).order_by(tokens.c.digest)):
        yield StoredCredential(
            *("token", row.digest, row.account_id, row.created, row.expires, row.api_key, row.restrictions)
        )


def put_account(connection: Connection, account: StoredAccount, now: float) -> None:
    """Store an account, or change what can be changed of the one of its id. Raises `StoreRejected`."""
    if not accounts.exists(connection, account.id):
        accounts.insert(connection, account, now)
        return
    accounts.update(
        connection, account.id, now, name=account.name, realm=account.realm, enabled=account.enabled
    )


def put_hook(connection: Connection, hook: StoredHook, now: float) -> None:
    """Store a new hook, or replace the hook with its id. Raises `StoreRejected` if another account has it."""
    change_log.lock_change_log(connection)
    stored = connection.execute(sa.select(hook_table).where(hook_table.c.id == hook.id)).first()
    if stored is None:
        hooks.insert(connection, hook, now)
        return
    current = hooks.from_rows([stored])[0]
    if current.account_id != hook.account_id:
        raise StoreRejected(f"account {current.account_id} has a hook of this id")
    hooks.update(connection, current, evolve(hook, created=current.created), now)


def put_credential(connection: Connection, credential: StoredCredential, now: float) -> None:
    """Store an API key or a token that is not stored. Raises `UnknownAccount`."""
    change_log.lock_change_log(connection)
    if not accounts.exists(connection, credential.account_id):
        raise accounts.UnknownAccount(credential.account_id)
    values = {
        "digest": credential.digest,
        "account_id": credential.account_id,
        "created": credential.created,
    }
    if credential.kind == "api_key":
        connection.execute(sa.insert(api_keys).values(values))
    else:
        more = {
            "expires": credential.expires,
            "api_key": credential.api_key,
            "restrictions": credential.restrictions,
        }
        connection.execute(sa.insert(tokens).values(values | more))
    change_log.record(connection, credential.kind, [credential.digest], now)
