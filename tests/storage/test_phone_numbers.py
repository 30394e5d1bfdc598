from __future__ import annotations

import pytest
import pytest_twisted

from kazoo_bridge.storage import phone_numbers
from kazoo_bridge.storage.accounts import AccountStore, StoreRejected, UnknownAccount
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.phone_numbers import NumberStore
from tests.storage.record_factories import NOW, A, B, recorded_changes


async def add(database: Database, account_id: str, number: str) -> str:
    return await database.write(lambda connection: phone_numbers.insert(connection, account_id, number, NOW))


async def remove(database: Database, number: str) -> str:
    return await database.write(lambda connection: phone_numbers.delete(connection, number, NOW))


class NumberStoreSuite:
    @pytest_twisted.ensureDeferred
    async def test_numbers_have_owners(
        self, account_store: AccountStore, number_store: NumberStore, database: Database
    ) -> None:
        await account_store.create(A)
        await account_store.create(B)
        assert await add(database, A, "+47 22 55 50 19") == "4722555019"
        assert await add(database, B, "(555) 01-42") == "5550142"
        assert await number_store.all() == {"4722555019": A, "5550142": B}
        assert await number_store.owners(["5550142", "999"]) == {"5550142": B}
        assert await remove(database, "+4722555019") == "4722555019"
        assert await number_store.all() == {"5550142": B}
        changes = [("number", "4722555019"), ("number", "5550142"), ("number", "4722555019")]
        assert (await recorded_changes(database))[2:] == changes

    @pytest_twisted.ensureDeferred
    async def test_owners_of_many_numbers(
        self, account_store: AccountStore, number_store: NumberStore, database: Database
    ) -> None:
        await account_store.create(A)
        await add(database, A, "1111")
        await add(database, A, "2222")
        unknown = [f"{number:06}" for number in range(1200)]
        assert await number_store.owners(["1111", *unknown, "2222"]) == {"1111": A, "2222": A}

    @pytest.mark.parametrize(
        ("account_id", "number", "reason"),
        [
            (A, "4722555019", f"account {A} owns number 4722555019 already"),
            (A, "x", "digits"),
            (A, "1" * 33, "digits"),
            (A, "1", "digits"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_rejected_numbers(
        self, account_store: AccountStore, database: Database, account_id: str, number: str, reason: str
    ) -> None:
        await account_store.create(A)
        await add(database, A, "+4722555019")
        with pytest.raises(StoreRejected, match=reason):
            await add(database, account_id, number)

    @pytest_twisted.ensureDeferred
    async def test_a_number_needs_a_known_account(self, database: Database) -> None:
        with pytest.raises(UnknownAccount, match=A):
            await add(database, A, "1234")

    @pytest_twisted.ensureDeferred
    async def test_a_number_without_an_owner_is_not_removed(
        self, account_store: AccountStore, database: Database
    ) -> None:
        await account_store.create(A)
        await add(database, A, "1234")
        with pytest.raises(StoreRejected, match="no account owns number 999"):
            await remove(database, "999")


class TestNumberStore(NumberStoreSuite):
    """On SQLite."""
