"""The storage suites on a private PostgreSQL server. Needs Debian's package ``postgresql``."""

import threading
import time
from collections.abc import Iterator

import pytest
import pytest_twisted
from sqlalchemy import Connection, Engine, inspect, text
from twisted.internet import reactor

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log, deliveries, engine, migrate
from kazoo_bridge.storage.database import Database
from tests.directory.test_store_protocols import StoredDirectorySuite
from tests.integration.postgresql import Cluster
from tests.storage.couchdb_hooks.test_extras import HookExtrasStoreSuite
from tests.storage.fixtures import (  # noqa: F401
    account_store,
    attempt_store,
    clock,
    database,
    delivery_store,
    hook_extras_store,
    hook_store,
    limit_store,
    missed_event_store,
    number_store,
    pivot_store,
    token_store,
)
from tests.storage.record_factories import make_delivery, record_change
from tests.storage.test_accounts import AccountStoreSuite
from tests.storage.test_attempts import AttemptStoreSuite
from tests.storage.test_change_feed import ChangeFeedSuite
from tests.storage.test_change_log import ChangeLogSuite
from tests.storage.test_database import DatabaseSuite
from tests.storage.test_deliveries import DeliveryStoreSuite
from tests.storage.test_delivery_retention import DeliveryRetentionSuite
from tests.storage.test_hooks import HookStoreSuite
from tests.storage.test_migrate import MigrateSuite
from tests.storage.test_missed_events import MissedEventStoreSuite
from tests.storage.test_phone_numbers import NumberStoreSuite
from tests.storage.test_pivots import PivotStoreSuite
from tests.storage.test_retention import RetentionSuite
from tests.storage.test_schemas import SchemasSuite
from tests.storage.test_settings import SettingsSuite
from tests.storage.test_tables import TablesSuite
from tests.storage.test_tokens import TokenStoreSuite


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    cluster.create()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="module")
def migrated(cluster: Cluster) -> str:
    """The name of a database with all tables, to be copied: that is quicker than to migrate each."""
    name = cluster.new_database()
    opened = engine.open_engine(cluster.uri(name))
    migrate.upgrade(opened)
    opened.dispose()
    return name


@pytest.fixture
def storage_uri(cluster: Cluster, migrated: str) -> Iterator[str]:
    name = cluster.new_database(migrated)
    yield cluster.uri(name)
    # One by one: removing the files of all databases at the end takes long.
    cluster.drop_database(name)


@pytest.fixture
def empty_uri(cluster: Cluster) -> Iterator[str]:
    """The URI of a database without tables."""
    name = cluster.new_database()
    yield cluster.uri(name)
    cluster.drop_database(name)


class TestAccountStore(AccountStoreSuite):
    """On PostgreSQL, like all suites below."""


class TestAttemptStore(AttemptStoreSuite):
    pass


class TestChangeFeed(ChangeFeedSuite):
    pass


class TestChangeLog(ChangeLogSuite):
    pass


class TestDatabase(DatabaseSuite):
    pass


class TestDeliveryStore(DeliveryStoreSuite):
    pass


class TestDeliveryRetention(DeliveryRetentionSuite):
    pass


class TestHookExtrasStore(HookExtrasStoreSuite):
    pass


class TestHookStore(HookStoreSuite):
    pass


class TestMissedEventStore(MissedEventStoreSuite):
    pass


class TestMigrate(MigrateSuite):
    @pytest.fixture
    def storage_uri(self, empty_uri: str) -> str:
        """What is migrated has no tables."""
        return empty_uri


class TestSchemas(SchemasSuite):
    @pytest.fixture
    def storage_uri(self, empty_uri: str) -> str:
        """What is migrated has no tables."""
        return empty_uri


class TestNumberStore(NumberStoreSuite):
    pass


class TestPivotStore(PivotStoreSuite):
    pass


class TestRetention(RetentionSuite):
    pass


class TestSettings(SettingsSuite):
    pass


class TestTables(TablesSuite):
    pass


class TestTokenStore(TokenStoreSuite):
    pass


class TestStoredDirectory(StoredDirectorySuite):
    pass


@pytest_twisted.ensureDeferred
async def test_a_wrong_password_is_not_repeated(cluster: Cluster) -> None:
    refused = Database(reactor, cluster.uri("postgres", "sesame"))
    with pytest.raises(StorageUnavailable, match="password authentication failed") as caught:
        await refused.migrate()
    assert "sesame" not in str(caught.value)
    await refused.close()


@pytest_twisted.ensureDeferred
async def test_a_server_that_restarts_is_found_again(cluster: Cluster, storage_uri: str) -> None:
    node = Database(reactor, storage_uri)
    await node.migrate()
    assert await node.check(10) is None
    cluster.stop()
    with pytest.raises(StorageUnavailable, match=r"at 127\.0\.0\.1 refused"):
        await node.read(change_log.position)
    assert "refused" in (await node.check(10) or "")
    cluster.start()
    assert await node.check(10) is None
    await node.write(record_change("x"))
    assert await node.read(change_log.position) == 1
    await node.close()


def test_changes_are_numbered_in_the_order_they_are_committed(storage_uri: str) -> None:
    """A reader that has seen a change has seen every change with a smaller number."""
    opened = engine.open_engine(storage_uri)
    migrate.upgrade(opened)
    first_has_number, first_may_commit = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        record_change("first")(connection)
        first_has_number.set()
        assert first_may_commit.wait(10)

    first = threading.Thread(target=lambda: engine.in_transaction(opened, slow, writing=True))
    first.start()
    assert first_has_number.wait(10)
    second = threading.Thread(
        target=lambda: engine.in_transaction(opened, record_change("second"), writing=True)
    )
    second.start()
    _wait_for_locks(opened, "advisory", 1)
    assert engine.in_transaction(
        opened, lambda c: change_log.since(c, 0), writing=False
    ) == change_log.ChangeBatch(0)
    first_may_commit.set()
    first.join(10)
    second.join(10)
    seen = engine.in_transaction(opened, lambda c: change_log.since(c, 0), writing=False).changes
    assert seen == (("hook", "first"), ("hook", "second"))
    opened.dispose()


def test_one_process_migrates_while_others_wait(empty_uri: str) -> None:
    opened = engine.open_engine(empty_uri)
    migrating = threading.Thread(target=migrate.upgrade, args=[opened])
    with opened.begin() as another:
        another.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": migrate.MIGRATION_LOCK})
        migrating.start()
        _wait_for_locks(opened, "advisory", 1)
        assert inspect(another).get_table_names() == []
    migrating.join(10)
    assert engine.in_transaction(opened, change_log.position, writing=False) == 0
    opened.dispose()


def test_nodes_that_store_the_same_deliveries_in_different_orders_do_not_deadlock(storage_uri: str) -> None:
    opened = engine.open_engine(storage_uri)
    migrate.upgrade(opened)
    failures: list[BaseException] = []

    def store(names: str) -> None:
        waiting = [(make_delivery(name, ordering_key="call"), 100.0, "") for name in names]
        try:
            engine.in_transaction(opened, lambda c: deliveries.enqueue(c, waiting), writing=True)
        except StorageUnavailable as error:
            failures.append(error)

    nodes = [threading.Thread(target=store, args=[names]) for names in ("amz", "zma")]
    # A third node holds the middle one, so that both others have begun to insert and wait.
    with opened.connect() as third, third.begin() as transaction:
        deliveries.enqueue(third, [(make_delivery("m"), 100.0, "")])
        for number, node in enumerate(nodes, 1):
            node.start()
            _wait_for_locks(opened, "transactionid", number)
        transaction.rollback()
    for node in nodes:
        node.join(10)
    assert failures == []
    opened.dispose()


def _wait_for_locks(opened: Engine, kind: str, number: int) -> None:
    """Wait until `number` transactions wait for a lock of this kind."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = :kind AND NOT granted")
    deadline = time.monotonic() + 10
    while engine.in_transaction(opened, lambda c: c.scalar(waiting, {"kind": kind}), writing=False) != number:
        assert time.monotonic() < deadline, f"{number} transactions did not come to wait"
        time.sleep(0.01)


def test_a_standby_is_reported_as_unavailable(storage_uri: str) -> None:
    opened = engine.open_engine(storage_uri)

    def write_while_read_only(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql("CREATE TABLE x (y int)")

    with pytest.raises(StorageUnavailable, match="read-only transaction"):
        engine.in_transaction(opened, write_while_read_only, writing=True)
    opened.dispose()
