"""What every database must do; run on SQLite in ``test_stores_sqlite`` and on PostgreSQL in ``integration``.

Whoever imports it provides the fixture ``storage_uri``, a fresh database.
"""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock, deferLater
from zope.interface.verify import verifyObject

from kazoo_bridge.directory.local import LocalDirectory
from kazoo_bridge.interfaces import AccountLimits, IHookStore, RevisionConflict, StoredHook, TooManyHooks
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.storage import change_log, migrate, phone_numbers, tables, tokens
from kazoo_bridge.storage.accounts import AccountStore, StoreRejected, UnknownAccount
from kazoo_bridge.storage.change_feed import ALL, ChangeFeed
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.engine import in_transaction, open_engine
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.limits import LimitStore
from kazoo_bridge.storage.phone_numbers import NumberStore
from kazoo_bridge.storage.retention import RetentionService
from kazoo_bridge.storage.tokens import TokenStore, secret_digest

A, B, C = "a" * 32, "b" * 32, "c" * 32
NOW = 1_700_000_000.0


async def until(condition: Callable[[], Any], advance: Callable[[], Any] = lambda: None) -> None:
    """Wait until `condition` holds, at most ten seconds, calling `advance` meanwhile."""
    deadline = reactor.seconds() + 10
    while not condition():
        assert reactor.seconds() < deadline, "the condition never came true"
        advance()
        await deferLater(reactor, 0.005)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest_twisted.async_yield_fixture
async def database(storage_uri: str) -> AsyncIterator[Database]:
    database = Database(reactor, storage_uri)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
def accounts(clock: Clock, database: Database) -> AccountStore:
    return AccountStore(clock, database)


@pytest.fixture
def token_store(clock: Clock, database: Database) -> TokenStore:
    return TokenStore(clock, database)


@pytest.fixture
def hooks(clock: Clock, database: Database) -> HookStore:
    return HookStore(clock, database)


async def recorded(database: Database) -> list[tuple[str, str]]:
    return list((await database.read(lambda connection: change_log.since(connection, 0))).changes)


# -- transactions


@pytest_twisted.ensureDeferred
async def test_a_failed_write_leaves_nothing(database: Database) -> None:
    def half(connection: Connection) -> None:
        change_log.record(connection, "hook", ["x"], NOW)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await database.write(half)
    assert await recorded(database) == []


@pytest_twisted.ensureDeferred
async def test_writes_happen_in_the_order_they_were_asked_for(database: Database) -> None:
    subjects = [f"{number:03d}" for number in range(100)]
    await gatherResults(
        [
            database.write(lambda connection, one=one: change_log.record(connection, "hook", [one], NOW))
            for one in subjects
        ]
    )
    assert [subject for _, subject in await recorded(database)] == subjects


@pytest_twisted.ensureDeferred
async def test_a_readable_database_passes_the_check(database: Database) -> None:
    assert await database.check(10) is None


@pytest_twisted.ensureDeferred
async def test_another_process_writes_at_the_same_time(database: Database, storage_uri: str) -> None:
    script = (
        "import sys; from kazoo_bridge.storage import change_log, engine\n"
        "opened = engine.open_engine(sys.argv[1])\n"
        "for number in range(100):\n"
        "    engine.in_transaction(opened, lambda c: change_log.record(c, 'hook', [f'theirs {number}'], 1.0), writing=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, storage_uri]) as process:
        for number in range(100):
            await database.write(
                lambda connection, number=number: change_log.record(
                    connection, "hook", [f"ours {number}"], NOW
                )
            )
        assert await database.read(lambda _: process.wait(60)) == 0
    subjects = [subject for _, subject in await recorded(database)]
    assert [one for one in subjects if one.startswith("ours")] == [f"ours {number}" for number in range(100)]
    assert [one for one in subjects if one.startswith("theirs")] == [
        f"theirs {number}" for number in range(100)
    ]


# -- migrations


@pytest_twisted.ensureDeferred
async def test_the_migrated_tables_are_those_of_the_code(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        return compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), tables.metadata
        )

    assert await database.read(differences) == []


def test_processes_that_migrate_at_once(storage_uri: str) -> None:
    script = (
        "import sys; from kazoo_bridge.storage import engine, migrate\n"
        "print('ready', flush=True); sys.stdin.readline(); migrate.upgrade(engine.open_engine(sys.argv[1]))\n"
    )
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    processes: list[Any] = [
        subprocess.Popen([sys.executable, "-c", script, storage_uri], **pipes) for _ in range(4)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert ([process.returncode for process in processes], errors) == ([0] * 4, [""] * 4)
    engine = open_engine(storage_uri)
    assert in_transaction(engine, change_log.position, writing=False) == 0
    engine.dispose()


@pytest_twisted.ensureDeferred
async def test_a_newer_database_is_refused(database: Database) -> None:
    await database.write(
        lambda connection: (
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")) and None
        )
    )
    with pytest.raises(
        migrate.DatabaseTooNew,
        match=r"version 9999, which this version of kazoo_bridge does not know: install",
    ):
        await database.migrate()


# -- hooks


@pytest_twisted.ensureDeferred
async def test_a_hook_is_kept(hooks: HookStore) -> None:
    assert verifyObject(IHookStore, hooks)
    document = {"name": "naïve \ud800 \u0000", "custom_data": {"n": [1, 2.5, None, True]}}
    hook = await hooks.create(A, document)
    assert (len(hook.id), hook.account_id, hook.created, hook.modified) == (
        32,
        A,
        to_gregorian(NOW),
        to_gregorian(NOW),
    )
    assert hook.document == document
    assert hook.revision.startswith("1-")
    assert await hooks.get(A, hook.id) == hook
    assert await hooks.get(B, hook.id) is None
    for odd in ("nobody", "", "\0", "\ud800", hook.id.upper() + "x"):
        assert await hooks.get(A, odd) is None
        assert await hooks.get(odd, hook.id) is None
        assert await hooks.by_ids([odd]) == []
    assert await hooks.by_ids([hook.id, "nobody"]) == [hook]


@pytest_twisted.ensureDeferred
async def test_hooks_come_in_the_order_they_were_created(hooks: HookStore) -> None:
    made = [await hooks.create(account, {"n": number}) for number, account in enumerate([A, B, A, B, A])]
    assert await hooks.all() == made
    assert await hooks.for_account(A) == made[::2]
    assert {hook.id for hook in await hooks.by_ids([hook.id for hook in made] * 300)} == {
        hook.id for hook in made
    }


@pytest_twisted.ensureDeferred
async def test_only_the_current_revision_can_be_replaced(hooks: HookStore, clock: Clock) -> None:
    first = await hooks.create(A, {"n": 1})
    clock.advance(5)
    second = await hooks.replace(first, {"n": 2})
    assert (second.id, second.document, second.created, second.modified) == (
        first.id,
        {"n": 2},
        first.created,
        first.created + 5,
    )
    assert second.revision.startswith("2-")
    with pytest.raises(RevisionConflict, match=first.id):
        await hooks.replace(first, {"n": 3})
    with pytest.raises(RevisionConflict):
        await hooks.delete(first)
    assert await hooks.get(A, first.id) == second
    await hooks.delete(second)
    assert await hooks.get(A, first.id) is None
    with pytest.raises(RevisionConflict):
        await hooks.replace(second, {"n": 4})


@pytest_twisted.ensureDeferred
async def test_of_two_writers_one_wins(hooks: HookStore) -> None:
    hook = await hooks.create(A, {})
    results: list[Deferred[Any]] = [hooks.replace(hook, {"n": number}) for number in range(5)]
    outcomes = [await one.addErrback(lambda failure: failure.value) for one in results]
    assert [isinstance(one, RevisionConflict) for one in outcomes] == [False, True, True, True, True]
    assert await hooks.get(A, hook.id) == outcomes[0]


@pytest_twisted.ensureDeferred
async def test_an_account_may_have_so_many_hooks(clock: Clock, database: Database) -> None:
    hooks = HookStore(clock, database, max_per_account=2)
    first = await hooks.create(A, {})
    await hooks.create(A, {})
    with pytest.raises(TooManyHooks) as refused:
        await hooks.create(A, {})
    assert refused.value.limit == 2
    assert len(await recorded(database)) == 2
    await hooks.create(B, {})
    await hooks.replace(first, {"n": 1})
    await hooks.delete(await hooks.get(A, first.id))
    await hooks.create(A, {})
    assert len(await hooks.for_account(A)) == 2


@pytest_twisted.ensureDeferred
async def test_nodes_that_create_at_the_same_time_do_not_exceed_the_limit(
    clock: Clock, database: Database, storage_uri: str
) -> None:
    others = [Database(reactor, storage_uri) for _ in range(3)]
    stores = [HookStore(clock, one, max_per_account=5) for one in (database, *others)]
    results = [
        store.create(A, {}).addErrback(lambda failure: failure.value) for _ in range(5) for store in stores
    ]
    outcomes = await gatherResults(results)
    assert sum(isinstance(one, StoredHook) for one in outcomes) == 5
    assert sum(isinstance(one, TooManyHooks) for one in outcomes) == 15
    assert len(await stores[0].for_account(A)) == 5
    for one in others:
        await one.close()


@pytest_twisted.ensureDeferred
async def test_every_write_to_a_hook_is_recorded(hooks: HookStore, database: Database) -> None:
    hook = await hooks.create(A, {})
    await hooks.delete(await hooks.replace(hook, {"x": 1}))
    assert await recorded(database) == [("hook", hook.id)] * 3


@pytest_twisted.ensureDeferred
async def test_an_account_s_hooks_go_together(hooks: HookStore, database: Database) -> None:
    made = [await hooks.create(A, {}) for _ in range(3)]
    other = await hooks.create(B, {})
    assert await hooks.delete_of_account(A) == 3
    assert await hooks.all() == [other]
    assert sorted((await recorded(database))[-3:]) == sorted(("hook", hook.id) for hook in made)


# -- accounts


@pytest_twisted.ensureDeferred
async def test_accounts_are_kept(accounts: AccountStore, database: Database) -> None:
    top = await accounts.create(A, name="Top", realm="top.example.com", superadmin=True)
    below = await accounts.create(B, parent_id=A)
    assert await accounts.all() == [top, below]
    assert await accounts.by_ids([B, C]) == [below]
    assert (top.superadmin, below.superadmin, below.parent_id, top.created) == (
        True,
        False,
        A,
        to_gregorian(NOW),
    )
    assert await recorded(database) == [("account", A), ("account", B)]


@pytest.mark.parametrize(
    ("account_id", "more", "words"),
    [
        (A, {}, "there is an account a{32} already"),
        (B, {"parent_id": C}, "there is no account c{32} to be the parent"),
        (B, {"parent_id": B}, "there is no account b{32} to be the parent"),
        ("A" * 32, {}, "32 characters"),
        (B, {"parent_id": "x"}, "32 characters"),
        (B, {"name": "x" * 129}, "at most 128"),
        (B, {"name": "two\nlines"}, "printable"),
        (B, {"realm": "not a realm"}, "domain name"),
        (B, {"realm": "top.example.com"}, "another account has the realm"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_accounts_that_cannot_be(
    accounts: AccountStore, account_id: str, more: dict[str, Any], words: str
) -> None:
    top = await accounts.create(A, realm="top.example.com")
    with pytest.raises(StoreRejected, match=words):
        await accounts.create(account_id, **more)
    assert await accounts.all() == [top]


@pytest_twisted.ensureDeferred
async def test_an_account_goes_with_its_secrets(
    accounts: AccountStore, token_store: TokenStore, database: Database
) -> None:
    await accounts.create(A)
    await accounts.create(B, parent_id=A)
    with pytest.raises(StoreRejected, match="sub-accounts"):
        await accounts.delete(A)
    with pytest.raises(UnknownAccount):
        await accounts.delete(C)
    token = secret_digest((await token_store.create(B)).token)
    api_key = secret_digest(await token_store.create_api_key(B))
    await accounts.delete(B)
    assert await token_store.lookup(token) is None
    assert await token_store.account_of_api_key(api_key) is None
    assert (await recorded(database))[-3:] == [("token", token), ("api_key", api_key), ("account", B)]


@pytest_twisted.ensureDeferred
async def test_an_account_goes_with_its_hooks_and_limits(
    accounts: AccountStore, hooks: HookStore, database: Database
) -> None:
    await accounts.create(A)
    hook = await hooks.create(A, {})
    limits = LimitStore(database)
    await limits.put(A, AccountLimits(1))
    await accounts.delete(A)
    assert await hooks.for_account(A) == []
    assert await limits.get(A) == AccountLimits()
    assert (await recorded(database))[-2:] == [("hook", hook.id), ("account", A)]


# -- tokens


@pytest_twisted.ensureDeferred
async def test_tokens_expire(
    accounts: AccountStore, token_store: TokenStore, clock: Clock, database: Database
) -> None:
    await accounts.create(A)
    short, lasting = await token_store.create(A, ttl=10), await token_store.create(A)
    assert (short.expires, lasting.expires) == (NOW + 10, None)
    assert short.token not in repr(short)
    clock.advance(9.5)
    assert (await token_store.lookup(secret_digest(short.token))).account_id == A  # type: ignore[union-attr]
    assert await database.write(lambda connection: tokens.purge(connection, clock.seconds())) == 0
    clock.advance(0.5)
    assert await token_store.lookup(secret_digest(short.token)) is None
    assert await database.write(lambda connection: tokens.purge(connection, clock.seconds())) == 1
    assert await token_store.lookup(secret_digest(lasting.token)) is not None


@pytest_twisted.ensureDeferred
async def test_tokens_and_api_keys_are_revoked(
    accounts: AccountStore, token_store: TokenStore, database: Database
) -> None:
    await accounts.create(A)
    token, api_key = (await token_store.create(A)).token, await token_store.create_api_key(A)
    assert await token_store.account_of_api_key(secret_digest(api_key)) == A
    assert await token_store.revoke(api_key) is False
    assert await token_store.revoke_api_key(token) is False
    assert await token_store.revoke(token) is True
    assert await token_store.revoke(token) is False
    assert await token_store.revoke_api_key(api_key) is True
    assert await token_store.lookup(secret_digest(token)) is None
    assert await token_store.account_of_api_key(secret_digest(api_key)) is None
    kinds = [("token", secret_digest(token)), ("api_key", secret_digest(api_key))]
    assert await recorded(database) == [("account", A), *kinds, *kinds]


@pytest_twisted.ensureDeferred
async def test_the_secret_itself_is_not_kept(
    accounts: AccountStore, token_store: TokenStore, database: Database
) -> None:
    await accounts.create(A)
    made = [(await token_store.create(A)).token, await token_store.create_api_key(A)]

    def everything(connection: Connection) -> str:
        return repr([connection.execute(sa.select(table)).all() for table in tables.metadata.sorted_tables])

    kept = await database.read(everything)
    assert secret_digest(made[0]) in kept
    assert not any(secret in kept for secret in made)


@pytest_twisted.ensureDeferred
async def test_tokens_need_an_account(token_store: TokenStore) -> None:
    with pytest.raises(UnknownAccount, match=A):
        await token_store.create(A)
    with pytest.raises(UnknownAccount, match=A):
        await token_store.create_api_key(A)


# -- the feed of changes


@pytest_twisted.ensureDeferred
async def test_the_feed_tells_what_changed_since_its_mark(
    hooks: HookStore, accounts: AccountStore, clock: Clock, database: Database
) -> None:
    told: list[tuple[str, frozenset[str]]] = []
    await hooks.create(A, {})
    feed = ChangeFeed(clock, database)
    feed.subscribe(lambda kind, subjects: told.append((kind, subjects)))
    await feed.mark()
    hook = await hooks.create(A, {})
    await accounts.create(A)
    await accounts.create(B)
    feed.startService()
    await until(lambda: len(told) == 2, lambda: clock.advance(0.4))
    assert told == [("hook", frozenset([hook.id])), ("account", frozenset([A, B]))]
    await hooks.delete(hook)
    await until(lambda: len(told) == 3, lambda: clock.advance(0.4))
    assert told[2] == ("hook", frozenset([hook.id]))
    await feed.stopService()
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_a_feed_that_fell_behind_the_purge_says_so(
    hooks: HookStore, clock: Clock, database: Database
) -> None:
    told: list[tuple[str, frozenset[str]]] = []
    feed = ChangeFeed(clock, database)
    feed.subscribe(lambda kind, subjects: told.append((kind, subjects)))
    await hooks.create(A, {})
    await feed.mark()
    for _ in range(3):
        await hooks.create(A, {})
    clock.advance(change_log.RETENTION + 1)
    last = await hooks.create(A, {})
    assert await database.write(lambda connection: change_log.purge(connection, clock.seconds())) == 4
    feed.startService()
    await until(lambda: told, lambda: clock.advance(0.4))
    assert told == [(ALL, frozenset())]
    await hooks.delete(last)
    await until(lambda: len(told) == 2, lambda: clock.advance(0.4))
    assert told[1] == ("hook", frozenset([last.id]))
    await feed.stopService()


@pytest_twisted.ensureDeferred
async def test_a_purge_of_what_was_seen_is_no_reason_to_reload(
    hooks: HookStore, clock: Clock, database: Database
) -> None:
    await hooks.create(A, {})
    seen = (await database.read(lambda connection: change_log.since(connection, 0))).position
    clock.advance(change_log.RETENTION + 1)
    assert await database.write(lambda connection: change_log.purge(connection, clock.seconds())) == 0
    assert await database.read(
        lambda connection: change_log.since(connection, seen)
    ) == change_log.ChangeBatch(seen)
    hook = await hooks.create(A, {})
    assert await database.write(lambda connection: change_log.purge(connection, clock.seconds())) == 1
    assert await database.read(
        lambda connection: change_log.since(connection, seen)
    ) == change_log.ChangeBatch(seen + 1, (("hook", hook.id),))


@pytest_twisted.ensureDeferred
async def test_a_database_put_back_from_a_backup_means_reload(hooks: HookStore, database: Database) -> None:
    await hooks.create(A, {})
    here = await database.read(change_log.position)
    assert await database.read(
        lambda connection: change_log.since(connection, here + 5)
    ) == change_log.ChangeBatch(here, behind=True)


@pytest_twisted.ensureDeferred
async def test_housekeeping_removes_what_has_had_its_time(
    accounts: AccountStore, token_store: TokenStore, clock: Clock, database: Database
) -> None:
    await accounts.create(A)
    await token_store.create(A, ttl=1)
    clock.advance(change_log.RETENTION + 1)
    keeper = RetentionService(clock, database)
    keeper.startService()
    await keeper.stopService()

    def left(connection: Connection) -> list[int]:
        return [
            connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in (tables.changes, tables.tokens)
        ]

    assert await database.read(left) == [1, 0]
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_the_directory_follows_whose_numbers_are(
    accounts: AccountStore, token_store: TokenStore, clock: Clock, database: Database
) -> None:
    directory = LocalDirectory(clock, accounts, token_store, NumberStore(database))
    feed = ChangeFeed(clock, database)
    feed.subscribe(directory.changed)
    await feed.mark()
    await accounts.create(A)
    await accounts.create(B)
    await database.write(lambda connection: phone_numbers.insert(connection, A, "+47 22 55 50 19", NOW))
    await directory.load()
    assert directory.account_for_number("4722555019") == A
    feed.startService()
    assert (
        await database.write(lambda connection: phone_numbers.insert(connection, B, "(555) 01-42", NOW))
        == "5550142"
    )
    await until(lambda: directory.account_for_number("5550142") == B, lambda: clock.advance(0.4))
    await database.write(lambda connection: phone_numbers.delete(connection, "4722555019", NOW))
    await until(lambda: directory.account_for_number("4722555019") is None, lambda: clock.advance(0.4))
    await accounts.delete(B)
    await until(lambda: directory.account_for_number("5550142") is None, lambda: clock.advance(0.4))
    assert await database.read(phone_numbers.select_all) == {}
    await feed.stopService()


@pytest.mark.parametrize(
    ("account_id", "number", "reason"),
    [
        (B, "1234", "no account"),
        (A, "4722555019", "already"),
        (A, "x", "digits"),
        (A, "1" * 33, "digits"),
        (A, "1", "digits"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_numbers_that_are_refused(
    accounts: AccountStore, database: Database, account_id: str, number: str, reason: str
) -> None:
    await accounts.create(A)
    await database.write(lambda connection: phone_numbers.insert(connection, A, "+4722555019", NOW))
    with pytest.raises(StoreRejected, match=reason):
        await database.write(lambda connection: phone_numbers.insert(connection, account_id, number, NOW))
    with pytest.raises(StoreRejected, match="nobody has"):
        await database.write(lambda connection: phone_numbers.delete(connection, "999", NOW))


@pytest_twisted.ensureDeferred
async def test_a_revoked_token_is_refused_by_the_directory(
    accounts: AccountStore, token_store: TokenStore, clock: Clock, database: Database
) -> None:
    directory = LocalDirectory(clock, accounts, token_store)
    feed = ChangeFeed(clock, database)
    feed.subscribe(directory.changed)
    await feed.mark()
    await directory.load()
    feed.startService()
    await accounts.create(A)
    token = (await token_store.create(A)).token
    principal = await directory.authenticate(token)
    assert principal is not None
    assert principal.account_id == A
    await token_store.revoke(token)
    for _ in range(200):
        if await directory.authenticate(token) is None:
            break
        clock.advance(0.4)
        await deferLater(reactor, 0.01)
    assert await directory.authenticate(token) is None
    await feed.stopService()
