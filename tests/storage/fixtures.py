"""Fixtures over a fresh, migrated database.

A module that imports them provides the fixture ``storage_uri``: SQLite in this folder's conftest,
PostgreSQL in ``tests/integration/test_storage_postgresql.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock

from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.attempts import AttemptStore
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtrasStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.missed_events import MissedEventStore
from kazoo_bridge.storage.phone_numbers import NumberStore
from kazoo_bridge.storage.pivots import PivotStore
from kazoo_bridge.storage.settings import LimitStore
from kazoo_bridge.storage.tokens import TokenStore
from tests.storage.record_factories import NOW
from tests.storage.sqlite_template import make_migrated_database


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest_twisted.async_yield_fixture
async def database(storage_uri: str) -> AsyncIterator[Database]:
    if storage_uri.startswith("sqlite:///"):
        make_migrated_database(Path(storage_uri.removeprefix("sqlite:///")))
    database = Database(reactor, storage_uri)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
def account_store(clock: Clock, database: Database) -> AccountStore:
    return AccountStore(clock, database)


@pytest.fixture
def token_store(clock: Clock, database: Database) -> TokenStore:
    return TokenStore(clock, database)


@pytest.fixture
def number_store(database: Database) -> NumberStore:
    return NumberStore(database)


@pytest.fixture
def pivot_store(clock: Clock, database: Database) -> PivotStore:
    return PivotStore(clock, database)


@pytest.fixture
def hook_store(clock: Clock, database: Database) -> HookStore:
    return HookStore(clock, database)


@pytest.fixture
def hook_extras_store(clock: Clock, database: Database) -> HookExtrasStore:
    return HookExtrasStore(clock, database)


@pytest.fixture
def limit_store(database: Database) -> LimitStore:
    return LimitStore(database)


@pytest.fixture
def attempt_store(database: Database) -> AttemptStore:
    return AttemptStore(database)


@pytest.fixture
def delivery_store(database: Database) -> DeliveryStore:
    return DeliveryStore(database)


@pytest.fixture
def missed_event_store(database: Database) -> MissedEventStore:
    return MissedEventStore(database)
