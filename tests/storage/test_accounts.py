from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import AccountLimits
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.storage import phone_numbers
from kazoo_bridge.storage.accounts import AccountStore, StoredAccount, StoreRejected, UnknownAccount
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.phone_numbers import NumberStore
from kazoo_bridge.storage.settings import LimitStore
from kazoo_bridge.storage.tokens import TokenStore, secret_digest
from tests.storage.record_factories import NOW, A, B, C, delivery_ids, enqueue, recorded_changes


class AccountStoreSuite:
    @pytest_twisted.ensureDeferred
    async def test_accounts_are_stored(self, account_store: AccountStore, database: Database) -> None:
        top = await account_store.create(A, name="Top", realm="top.example.com", superadmin=True)
        below = await account_store.create(B, parent_id=A)
        assert top == StoredAccount(A, None, "Top", "top.example.com", True, to_gregorian(NOW))
        assert below == StoredAccount(B, A, "", "", False, to_gregorian(NOW))
        assert await account_store.all() == [top, below]
        assert await recorded_changes(database) == [("account", A), ("account", B)]

    @pytest_twisted.ensureDeferred
    async def test_accounts_are_listed_oldest_first(self, account_store: AccountStore, clock: Clock) -> None:
        for account_id in (B, A):
            await account_store.create(account_id)
        clock.advance(1)
        await account_store.create("0" * 32)
        assert [one.id for one in await account_store.all()] == [A, B, "0" * 32]

    @pytest_twisted.ensureDeferred
    async def test_accounts_are_read_by_id(self, account_store: AccountStore) -> None:
        top, other = await account_store.create(A), await account_store.create(B)
        assert await account_store.by_ids([B, C]) == [other]
        many = [f"{number:032x}" for number in range(1200)]
        assert await account_store.by_ids([A, *many, B]) == [top, other]

    @pytest.mark.parametrize(
        ("account_id", "more", "reason"),
        [
            (A, {}, "there is an account a{32} already"),
            (B, {"parent_id": C}, "there is no account c{32} to be the parent"),
            (B, {"parent_id": B}, "there is no account b{32} to be the parent"),
            ("A" * 32, {}, "32 characters"),
            (B, {"parent_id": "x"}, "32 characters"),
            (B, {"name": "x" * 129}, "at most 128"),
            (B, {"name": "two\nlines"}, "printable"),
            (B, {"realm": "not a realm"}, "domain name"),
            (B, {"realm": "x." * 126 + "xx"}, "domain name"),
            (B, {"realm": "top.example.com"}, "another account has the realm"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_rejected_accounts(
        self,
        account_store: AccountStore,
        database: Database,
        account_id: str,
        more: dict[str, Any],
        reason: str,
    ) -> None:
        top = await account_store.create(A, realm="top.example.com")
        with pytest.raises(StoreRejected, match=reason):
            await account_store.create(account_id, **more)
        assert await account_store.all() == [top]
        assert await recorded_changes(database) == [("account", A)]

    @pytest_twisted.ensureDeferred
    async def test_the_longest_name_and_realm(self, account_store: AccountStore) -> None:
        name, realm = "x" * 128, "x." * 126 + "x"
        await account_store.create(A, name=name, realm=realm)
        assert [(one.name, one.realm) for one in await account_store.all()] == [(name, realm)]

    @pytest_twisted.ensureDeferred
    async def test_several_accounts_may_have_no_realm(self, account_store: AccountStore) -> None:
        await account_store.create(A)
        await account_store.create(B)
        assert len(await account_store.all()) == 2

    @pytest_twisted.ensureDeferred
    async def test_an_account_with_sub_accounts_is_not_deleted(self, account_store: AccountStore) -> None:
        await account_store.create(A)
        await account_store.create(B, parent_id=A)
        with pytest.raises(StoreRejected, match="sub-accounts"):
            await account_store.delete(A)
        await account_store.delete(B)
        await account_store.delete(A)
        assert await account_store.all() == []

    @pytest_twisted.ensureDeferred
    async def test_an_account_is_changed(self, account_store: AccountStore, database: Database) -> None:
        created = await account_store.create(A, name="Old", realm="old.example.com")
        await account_store.create(B, realm="b.example.com")
        changed = await account_store.update(A, name="New")
        assert changed == evolve(created, name="New")
        assert await account_store.update(A, name="New") == changed
        assert await account_store.by_ids([A]) == [changed]
        assert (await account_store.update(A, realm="old.example.com")).realm == "old.example.com"
        assert await recorded_changes(database) == [("account", A), ("account", B), ("account", A)]
        for wrong in ({"name": "\n"}, {"realm": "no realm"}, {"realm": "b.example.com"}):
            with pytest.raises(StoreRejected):
                await account_store.update(A, **wrong)
        with pytest.raises(UnknownAccount):
            await account_store.update(C, name="x")

    @pytest_twisted.ensureDeferred
    async def test_an_unknown_account_is_not_deleted(self, account_store: AccountStore) -> None:
        await account_store.create(A)
        with pytest.raises(UnknownAccount, match=B):
            await account_store.delete(B)

    @pytest_twisted.ensureDeferred
    async def test_deleting_an_account_deletes_what_it_owns_and_nothing_else(
        self,
        account_store: AccountStore,
        token_store: TokenStore,
        hook_store: HookStore,
        limit_store: LimitStore,
        number_store: NumberStore,
        delivery_store: DeliveryStore,
        database: Database,
    ) -> None:
        secrets = {}
        hooks = {}
        for account_id, number in ((A, "1111"), (B, "2222")):
            await account_store.create(account_id)
            token = secret_digest((await token_store.create(account_id)).token)
            secrets[account_id] = token, secret_digest(await token_store.create_api_key(account_id))
            hooks[account_id] = await hook_store.create(account_id, {})
            await limit_store.put(account_id, AccountLimits(1))
            await database.write(partial(phone_numbers.insert, account_id=account_id, number=number, now=NOW))
            await enqueue(delivery_store, number, hook_id=hooks[account_id].id, account_id=account_id)
        before = len(await recorded_changes(database))
        await account_store.delete(A)
        token, api_key = secrets[A]
        assert (await recorded_changes(database))[before:] == [
            ("token", token),
            ("api_key", api_key),
            ("number", "1111"),
            ("hook", hooks[A].id),
            ("account", A),
        ]
        assert await token_store.lookup(token) is None
        assert await token_store.account_for_api_key(api_key) is None
        assert await token_store.lookup(secrets[B][0]) is not None
        assert await token_store.account_for_api_key(secrets[B][1]) == B
        assert await number_store.all() == {"2222": B}
        assert await hook_store.batch(0, 9) == ([hooks[B]], 2)
        assert await limit_store.get(A) == AccountLimits()
        assert await limit_store.get(B) == AccountLimits(1)
        assert await delivery_ids(delivery_store, account_id=A) == []
        assert await delivery_ids(delivery_store, account_id=B) == ["2222"]


class TestAccountStore(AccountStoreSuite):
    """On SQLite."""
