from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from sqlalchemy import Connection

from kazoo_bridge.interfaces import AccountLimits, StoredHook
from kazoo_bridge.storage import accounts, engine, migrate, phone_numbers, settings, tokens, transfer
from kazoo_bridge.storage.accounts import StoredAccount, StoreRejected, UnknownAccount
from kazoo_bridge.storage.change_log import since
from kazoo_bridge.storage.transfer import StoredCredential

A, B = "a" * 32, "b" * 32
ACCOUNT = StoredAccount(A, None, "Solberg Instruments", "a.example", False, 5)
HOOK = StoredHook("d" * 32, A, {"name": "n"}, "1-x", 1, 2)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    opened = engine.open_engine(f"sqlite:///{tmp_path}/b.sqlite3")
    migrate.upgrade(opened)
    with opened.connect() as connection, connection.begin():
        yield connection
    opened.dispose()


def test_a_snapshot_has_everything(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BATCH_SIZE", 2)
    transfer.put_account(connection, ACCOUNT, 1.0)
    settings.put_limits(connection, A, AccountLimits(3))
    phone_numbers.insert(connection, A, "+4722555019", 1.0)
    api_key = tokens.create_api_key(connection, A, 1.0)
    issued = tokens.log_in(connection, tokens.secret_digest(api_key), A, 60, 2.0)
    hooks = {f"{number:032x}": evolve(HOOK, id=f"{number:032x}") for number in range(5)}
    for hook in hooks.values():
        transfer.put_hook(connection, hook, 1.0)
    key_digest, token_digest = tokens.secret_digest(api_key), tokens.secret_digest(issued.token)
    assert transfer.read_snapshot(connection) == transfer.Snapshot(
        {A: ACCOUNT},
        {A: AccountLimits(3)},
        {"4722555019": A},
        hooks,
        {
            key_digest: StoredCredential("api_key", key_digest, A, 1.0),
            token_digest: StoredCredential("token", token_digest, A, 2.0, 62.0, key_digest),
        },
    )


def test_what_is_put_again_is_changed(connection: Connection) -> None:
    transfer.put_account(connection, ACCOUNT, 1.0)
    transfer.put_account(connection, evolve(ACCOUNT, name="Solberg", realm="b.example", created=9), 1.0)
    assert accounts.select_all(connection) == [evolve(ACCOUNT, name="Solberg", realm="b.example")]
    transfer.put_account(connection, evolve(ACCOUNT, enabled=False), 1.0)
    assert accounts.select_all(connection) == [evolve(ACCOUNT, enabled=False)]
    transfer.put_hook(connection, HOOK, 1.0)
    changed = evolve(HOOK, document={"name": "m"}, revision="2-x", created=7)
    transfer.put_hook(connection, changed, 1.0)
    assert list(transfer.select_hooks(connection)) == [evolve(changed, created=1, modified=2)]
    with pytest.raises(StoreRejected, match="has a hook of this id"):
        transfer.put_hook(connection, evolve(changed, account_id=B), 1.0)


def test_credentials_are_valid_and_announced(connection: Connection) -> None:
    transfer.put_account(connection, ACCOUNT, 1.0)
    digest = tokens.secret_digest("secret")
    restricted = StoredCredential("token", digest, A, 1.0, 10.0, restrictions='{"get": ["#"]}')
    transfer.put_credential(connection, restricted, 1.0)
    transfer.put_credential(connection, StoredCredential("api_key", digest, A, 1.0), 1.0)
    assert tokens.lookup(connection, digest, 9.0) == tokens.StoredToken(
        digest, A, 10.0, restricted.restrictions
    )
    assert {("token", digest), ("api_key", digest)} <= set(since(connection, 0).changes)
    with pytest.raises(UnknownAccount):
        transfer.put_credential(connection, StoredCredential("token", "x", B, 1.0), 1.0)
