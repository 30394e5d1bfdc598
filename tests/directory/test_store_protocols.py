"""The local directory over the real stores, which must fit its protocols."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.task import Clock

from kazoo_bridge.directory.local import LocalDirectory
from kazoo_bridge.directory.store_protocols import AccountSource, NumberSource, TokenSource
from kazoo_bridge.interfaces import Account, Principal
from kazoo_bridge.storage import phone_numbers
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.change_feed import POLL_INTERVAL, ChangeFeed
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.phone_numbers import NumberStore
from kazoo_bridge.storage.tokens import TokenStore
from tests.storage.record_factories import NOW, A, B, until


def make_directory(
    clock: Clock, accounts: AccountSource, tokens: TokenSource, numbers: NumberSource
) -> LocalDirectory:
    return LocalDirectory(clock, accounts, tokens, numbers)


class StoredDirectorySuite:
    @pytest_twisted.ensureDeferred
    async def test_accounts_tokens_and_api_keys_are_read(
        self, account_store: AccountStore, token_store: TokenStore, number_store: NumberStore, clock: Clock
    ) -> None:
        directory = make_directory(clock, account_store, token_store, number_store)
        await account_store.create(A, name="Top", realm="top.example.com", superadmin=True)
        await directory.load()
        await account_store.create(B, parent_id=A)
        assert await directory.account(A) == Account(A, "Top", "top.example.com", (), True)
        token = (await token_store.create(B, ttl=10)).token
        assert await directory.authenticate(token) == Principal(B, False, NOW + 10)
        assert directory.ancestors(B) == (A,)
        login = await directory.login(await token_store.create_api_key(A))
        assert login is not None
        assert await directory.authenticate(login[0]) == login[1] == Principal(A, True, NOW + 3600)

    @pytest_twisted.ensureDeferred
    async def test_numbers_are_followed(
        self,
        account_store: AccountStore,
        token_store: TokenStore,
        number_store: NumberStore,
        clock: Clock,
        database: Database,
    ) -> None:
        directory = make_directory(clock, account_store, token_store, number_store)
        feed = ChangeFeed(clock, database)
        feed.subscribe(directory.on_change)
        await feed.mark()
        await account_store.create(A)
        await account_store.create(B)
        await database.write(lambda connection: phone_numbers.insert(connection, A, "4722555019", NOW))
        await directory.load()
        assert directory.account_for_number("4722555019") == A
        feed.startService()
        await database.write(lambda connection: phone_numbers.insert(connection, B, "5550142", NOW))
        await until(
            lambda: directory.account_for_number("5550142") == B, lambda: clock.advance(POLL_INTERVAL)
        )
        await database.write(lambda connection: phone_numbers.delete(connection, "4722555019", NOW))
        await until(
            lambda: directory.account_for_number("4722555019") is None, lambda: clock.advance(POLL_INTERVAL)
        )
        await account_store.delete(B)
        await until(
            lambda: directory.account_for_number("5550142") is None, lambda: clock.advance(POLL_INTERVAL)
        )
        await feed.stopService()

    @pytest_twisted.ensureDeferred
    async def test_a_revoked_token_is_refused(
        self,
        account_store: AccountStore,
        token_store: TokenStore,
        number_store: NumberStore,
        clock: Clock,
        database: Database,
    ) -> None:
        directory = make_directory(clock, account_store, token_store, number_store)
        feed = ChangeFeed(clock, database)
        feed.subscribe(directory.on_change)
        await feed.mark()
        await directory.load()
        feed.startService()
        await account_store.create(A)
        token = (await token_store.create(A)).token
        assert await directory.authenticate(token) == Principal(A)
        seen = []
        feed.subscribe(lambda kind, _: seen.append(kind))
        await token_store.revoke(token)
        await until(lambda: "token" in seen, lambda: clock.advance(POLL_INTERVAL))
        assert await directory.authenticate(token) is None
        await feed.stopService()


class TestStoredDirectory(StoredDirectorySuite):
    """On SQLite."""
