"""Databases of every version of the storage, with rows in each table, and what a migration may change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import sqlalchemy as sa
from alembic import command
from twisted.internet import reactor
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import AccountLimits
from kazoo_bridge.storage import change_log, engine, migrate, tables
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.attempts import AttemptStore
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtrasStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.missed_events import MissedEventStore
from kazoo_bridge.storage.phone_numbers import NumberStore
from kazoo_bridge.storage.pivots import PivotStore
from kazoo_bridge.storage.settings import LimitStore, SettingStore
from kazoo_bridge.storage.tokens import TokenStore
from tests.storage.record_factories import NOW, ONE, A
from tests.storage.schemas import SCHEMAS, create, dump, revisions

TOKEN, KEY = "1" * 64, "2" * 64
DOCUMENT = {"name": "Orders", "hook": "channel_create", "uri": "https://shop.example/hook"}

#: One row of each table. A version that lacks a column has the row without it.
ROWS: Mapping[str, Mapping[str, Any]] = {
    "accounts": {
        "id": A, "name": "Solberg", "realm": "s.example", "superadmin": True, "created": 63961574400,
        "enabled": True,
    },
    "tokens": {"digest": TOKEN, "account_id": A, "created": NOW},
    "api_keys": {"digest": KEY, "account_id": A, "created": NOW},
    "numbers": {"number": "4722555019", "account_id": A},
    "hooks": {
        "id": ONE, "account_id": A, "document": json.dumps(DOCUMENT), "revision": "1-x", "created": 5,
        "modified": 6,
    },
    "hook_extras": {"hook_id": "kazoos", "account_id": A, "options": '{"ordered":true}'},
    "pivots": {
        "id": "7" * 32, "account_id": A, "name": "menu", "document": '{"name":"menu"}', "secret": "s",
        "revision": "1-p", "created": 7, "modified": 7,
    },
    "pivot_records": {
        "account_id": A, "pivot_point_id": "7" * 32, "time": NOW, "document": '{"call_id":"c1"}'
    },
    "changes": {"kind": "hook", "subject": ONE, "made": NOW},
    "attempts": {
        "account_id": A, "hook_id": ONE, "revision": "1-x", "failed": True, "made": NOW, "document": '{"n":1}'
    },
    "hook_health": {"hook_id": ONE, "last_success": NOW, "last_failure": NOW, "successes": 3, "failures": 2},
    "missed_events": {"hook_id": ONE, "reason": "disabled", "number": 4},
    "account_limits": {"account_id": A, "attempt_failure_count": 8, "attempt_failure_expiry_ms": 9000},
    "settings": {"name": "cluster_id", "value": "cluster"},
    "deliveries": {
        "id": "d1", "hook_id": ONE, "account_id": A, "event": "channel_create", "event_id": "e1",
        "ordering": "", "payload": '{"call_id":"c1"}', "status": "pending", "tries": 2,
        "next_attempt": NOW, "lease_until": 0, "created": NOW, "changed": NOW, "reason": "refused",
    },
}  # fmt: skip


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def tables_of(connection: sqlite3.Connection) -> set[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return {row[0] for row in connection.execute(query)} - {"alembic_version"}


def fill(file: Path, revision: str) -> set[str]:
    """Create a database of the version with a row in each table; return the names of the tables."""
    with closing(create(file, revision)) as connection:
        names = tables_of(connection)
        for name in ROWS.keys() & names:
            row = {key: value for key, value in ROWS[name].items() if key in columns(connection, name)}
            places = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({places})", [*row.values()])
        return names


async def read_all(database: Database) -> dict[str, Any]:
    """What the stores read, by table."""
    clock = Clock()
    clock.advance(NOW)
    (account,) = await AccountStore(clock, database).all()
    tokens, hooks, pivots = (
        TokenStore(clock, database),
        HookStore(clock, database, 10),
        PivotStore(clock, database),
    )
    token = await tokens.lookup(TOKEN)
    hook = await hooks.get(A, ONE)
    attempts = AttemptStore(database)
    health = (await attempts.health([ONE])).get(ONE)
    extras = await HookExtrasStore(clock, database).read(["kazoos"])
    pivot = await pivots.by_id("7" * 32)
    changes = await database.read(lambda connection: change_log.since(connection, 0))
    return {
        "accounts": (account.name, account.superadmin, account.enabled),
        "tokens": token and token.account_id,
        "api_keys": await tokens.account_for_api_key(KEY),
        "numbers": await NumberStore(database).all(),
        "hooks": hook and (hook.document, hook.revision, hook.secrets, dict(hook.headers), hook.suspension),
        "hook_extras": {name: dict(one.options) for name, one in extras.items()},
        "pivots": pivot and pivot.document,
        "pivot_records": len(await pivots.records(A, "7" * 32)),
        "changes": list(changes.changes),
        "attempts": [one.document for one in await attempts.page(A, ONE, None, 10)],
        "hook_health": health and (health.last_success, health.last_failure),
        "missed_events": await MissedEventStore(database).counts([ONE]),
        "account_limits": await LimitStore(database).get(A),
        "settings": await SettingStore(database).get_or_create("cluster_id", lambda: "new"),
        "deliveries": await DeliveryStore(database).counts(),
    }


READ: Mapping[str, Any] = {
    "accounts": ("Solberg", True, True),
    "tokens": A,
    "api_keys": A,
    "numbers": {"4722555019": A},
    "hooks": (DOCUMENT, "1-x", (), {}, None),
    "hook_extras": {"kazoos": {"ordered": True}},
    "pivots": {"name": "menu"},
    "pivot_records": 1,
    "changes": [("hook", ONE)],
    "attempts": [{"n": 1}],
    "hook_health": (NOW, NOW),
    "missed_events": {ONE: {"disabled": 4}},
    "account_limits": AccountLimits(8, 9000),
    "settings": "cluster",
    "deliveries": {"pending": 1, "held": 0, "dead": 0},
}


class SchemasSuite:
    @pytest_twisted.ensureDeferred
    async def test_rows_survive_each_migration(self, storage_uri: str) -> None:
        opened = engine.open_engine(storage_uri)
        filled: set[str] = set()
        for revision in revisions():
            engine.in_transaction(opened, partial(step_to, revision, filled), writing=True)
        opened.dispose()
        assert filled == set(ROWS)
        database = Database(reactor, storage_uri)
        try:
            await database.migrate()
            assert await read_all(database) == READ
        finally:
            await database.close()


def step_to(revision: str, filled: set[str], connection: sa.Connection) -> None:
    """Migrate to a revision, and add a row to each table that is new."""
    config = migrate.make_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    for name in sorted(ROWS.keys() & set(sa.inspect(connection).get_table_names()) - filled):
        table = sa.Table(name, sa.MetaData(), autoload_with=connection)
        row = {key: value for key, value in ROWS[name].items() if key in table.c}
        connection.execute(sa.insert(table).values(row))
        filled.add(name)


class TestSchemas(SchemasSuite):
    """On SQLite."""


@pytest.mark.parametrize("revision", SCHEMAS)
@pytest_twisted.ensureDeferred
async def test_the_stores_read_the_rows_of_every_version(tmp_path: Path, revision: str) -> None:
    names = fill(tmp_path / "old.sqlite3", revision)
    database = Database(reactor, f"sqlite:///{tmp_path}/old.sqlite3")
    try:
        await database.migrate()
        found = await read_all(database)
    finally:
        await database.close()
    assert {name: found[name] for name in names} == {name: READ[name] for name in names}


def test_each_table_has_a_row() -> None:
    assert set(tables.metadata.tables) == set(ROWS) == set(READ)


def test_each_version_has_kept_its_tables() -> None:
    assert list(SCHEMAS) == revisions()


@pytest.mark.parametrize("revision", SCHEMAS)
def test_the_migrations_still_make_these_tables(revision: str) -> None:
    assert sorted(dump(revision)) == sorted(SCHEMAS[revision])


@pytest.mark.parametrize(("older", "newer"), list(pairwise(SCHEMAS)))
def test_a_migration_only_expands_the_tables(tmp_path: Path, older: str, newer: str) -> None:
    opened = [sa.create_engine(f"sqlite:///{tmp_path}/{revision}") for revision in (older, newer)]
    for revision in (older, newer):
        create(tmp_path / revision, revision).close()
    before, after = map(sa.inspect, opened)
    assert set(before.get_table_names()) <= set(after.get_table_names())
    for table in before.get_table_names():
        had = {column["name"]: column for column in before.get_columns(table)}
        has = {column["name"]: column for column in after.get_columns(table)}
        assert {name: kind_of(column) for name, column in had.items()} == {
            name: kind_of(has[name]) for name in had
        }
        for name in has.keys() - had.keys():
            assert has[name]["nullable"] or has[name]["default"] is not None, f"{table}.{name}"
        assert unique_columns(before, table) == unique_columns(after, table)
    for one in opened:
        one.dispose()


def kind_of(column: Any) -> tuple[str, bool]:
    return str(column["type"]), column["nullable"]


def unique_columns(inspector: Any, table: str) -> set[tuple[str, ...]]:
    indexes = [index for index in inspector.get_indexes(table) if index["unique"]]
    found = [*inspector.get_unique_constraints(table), *indexes]
    return {tuple(one["column_names"]) for one in found}
