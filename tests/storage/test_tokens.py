from __future__ import annotations

from hashlib import sha256

import pytest
import pytest_twisted
import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import AccountToken
from kazoo_bridge.storage import change_log, tables, tokens
from kazoo_bridge.storage.accounts import AccountStore, UnknownAccount
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tokens import (
    MAX_TOKENS_PER_API_KEY,
    StoredToken,
    TokenStore,
    secret_digest,
)
from tests.storage.record_factories import NOW, A, B, recorded_changes, run_purge


class TokenStoreSuite:
    @pytest_twisted.ensureDeferred
    async def test_a_token_is_found_by_its_digest(
        self, account_store: AccountStore, token_store: TokenStore
    ) -> None:
        for account_id in (A, B):
            await account_store.create(account_id)
        issued = await token_store.create(A)
        await token_store.create(B)
        digest = secret_digest(issued.token)
        assert (issued.account_id, issued.expires) == (A, None)
        assert await token_store.lookup(digest) == StoredToken(digest, A, None)
        assert await token_store.lookup(issued.token) is None
        assert issued.token not in repr(issued)

    @pytest_twisted.ensureDeferred
    async def test_restrictions_are_stored_with_the_token(
        self, account_store: AccountStore, token_store: TokenStore
    ) -> None:
        await account_store.create(A)
        restricted = await token_store.create(A, restrictions='{"get":["#"]}')
        digest = secret_digest(restricted.token)
        assert await token_store.lookup(digest) == StoredToken(digest, A, None, '{"get":["#"]}')

    @pytest_twisted.ensureDeferred
    async def test_tokens_expire(
        self, account_store: AccountStore, token_store: TokenStore, clock: Clock, database: Database
    ) -> None:
        await account_store.create(A)
        short, lasting = await token_store.create(A, ttl=10), await token_store.create(A)
        assert (short.expires, lasting.expires) == (NOW + 10, None)
        clock.advance(9.5)
        assert await token_store.lookup(secret_digest(short.token)) is not None
        assert await run_purge(database, tokens.purge, clock.seconds()) == 0
        clock.advance(0.5)
        assert await token_store.lookup(secret_digest(short.token)) is None
        assert await run_purge(database, tokens.purge, clock.seconds()) == 1
        assert await token_store.lookup(secret_digest(lasting.token)) is not None

    @pytest_twisted.ensureDeferred
    async def test_an_api_key_is_found_by_its_digest(
        self, account_store: AccountStore, token_store: TokenStore
    ) -> None:
        for account_id in (A, B):
            await account_store.create(account_id)
        api_key = await token_store.create_api_key(A)
        await token_store.create_api_key(B)
        assert await token_store.account_for_api_key(secret_digest(api_key)) == A
        assert await token_store.account_for_api_key(api_key) is None

    @pytest_twisted.ensureDeferred
    async def test_tokens_and_api_keys_are_revoked(
        self, account_store: AccountStore, token_store: TokenStore, database: Database
    ) -> None:
        await account_store.create(A)
        token, api_key = (await token_store.create(A)).token, await token_store.create_api_key(A)
        other, other_key = (await token_store.create(A)).token, await token_store.create_api_key(A)
        before = len(await recorded_changes(database))
        assert await token_store.revoke(api_key) is False
        assert await token_store.revoke_api_key(token) is False
        assert await token_store.revoke(token) is True
        assert await token_store.revoke(token) is False
        assert await token_store.revoke_api_key(api_key) is True
        assert await token_store.lookup(secret_digest(token)) is None
        assert await token_store.account_for_api_key(secret_digest(api_key)) is None
        assert await token_store.lookup(secret_digest(other)) is not None
        assert await token_store.account_for_api_key(secret_digest(other_key)) == A
        revoked = [("token", secret_digest(token)), ("api_key", secret_digest(api_key))]
        assert (await recorded_changes(database))[before:] == revoked

    @pytest_twisted.ensureDeferred
    async def test_valid_tokens_of_an_account_are_listed_newest_first_and_revoked_by_digest(
        self, database: Database, clock: Clock, account_store: AccountStore, token_store: TokenStore
    ) -> None:
        for account_id in (A, B):
            await account_store.create(account_id)
        first = (await token_store.create(A, restrictions="{}")).token
        await token_store.create(A, ttl=5)
        clock.advance(10)
        key = await token_store.create_api_key(A)
        second = await token_store.log_in(secret_digest(key), A, 60)
        other = secret_digest((await token_store.create(B)).token)
        now = clock.seconds()
        assert await token_store.of_account(A) == [
            AccountToken(secret_digest(second.token), now, now + 60, True, False),
            AccountToken(secret_digest(first), now - 10, None, False, True),
        ]
        before = len(await recorded_changes(database))
        assert await token_store.revoke_of_account(A, other) is False
        assert await token_store.revoke_of_account(A, first) is False
        assert await token_store.revoke_of_account(A, secret_digest(first)) is True
        assert (await recorded_changes(database))[before:] == [("token", secret_digest(first))]
        assert await token_store.lookup(secret_digest(first)) is None
        assert await token_store.lookup(other) is not None

    @pytest_twisted.ensureDeferred
    async def test_a_renewed_api_key_ends_all_others_and_their_tokens(
        self, account_store: AccountStore, token_store: TokenStore
    ) -> None:
        for account_id in (A, B):
            await account_store.create(account_id)
        assert not await token_store.has_api_key(A)
        keys = [await token_store.create_api_key(account_id) for account_id in (A, A, B)]
        of_keys = [
            (await token_store.log_in(secret_digest(key), account_id, 60)).token
            for key, account_id in zip(keys, (A, A, B), strict=True)
        ]
        own = (await token_store.create(A)).token
        renewed = await token_store.renew_api_key(A)
        assert await token_store.has_api_key(A)
        owners = [await token_store.account_for_api_key(secret_digest(key)) for key in (*keys, renewed)]
        assert owners == [None, None, B, A]
        found = [await token_store.lookup(secret_digest(token)) for token in (*of_keys, own)]
        assert [one is not None for one in found] == [False, False, True, True]
        with pytest.raises(UnknownAccount):
            await token_store.renew_api_key("9" * 32)

    @pytest_twisted.ensureDeferred
    async def test_the_tokens_of_an_api_key_end_with_it(
        self, token_store: TokenStore, account_store: AccountStore, database: Database
    ) -> None:
        await account_store.create(A)
        keys = [await token_store.create_api_key(A) for _ in range(2)]
        ended, other = [(await token_store.log_in(secret_digest(key), A, 60)).token for key in keys]
        before = await database.read(change_log.position)
        assert await token_store.revoke_api_key(keys[0])
        assert await token_store.lookup(secret_digest(ended)) is None
        assert await token_store.lookup(secret_digest(other)) is not None
        batch = await database.read(lambda connection: change_log.since(connection, before))
        assert batch.changes == (("token", secret_digest(ended)), ("api_key", secret_digest(keys[0])))

    @pytest_twisted.ensureDeferred
    async def test_the_oldest_tokens_of_an_api_key_end(
        self, account_store: AccountStore, token_store: TokenStore, clock: Clock, database: Database
    ) -> None:
        await account_store.create(A)
        keys = [secret_digest(await token_store.create_api_key(A)) for _ in range(2)]
        lasting = await token_store.create(A)
        other = await token_store.log_in(keys[1], A, ttl=1000)
        issued = []
        for _ in range(MAX_TOKENS_PER_API_KEY + 2):
            clock.advance(1)
            issued.append(secret_digest((await token_store.log_in(keys[0], A, ttl=1000)).token))
        found = [await token_store.lookup(digest) is not None for digest in issued]
        assert found == [False] * 2 + [True] * MAX_TOKENS_PER_API_KEY
        for token in (lasting.token, other.token):
            assert await token_store.lookup(secret_digest(token)) is not None
        # Every node drops them from memory.
        changes = await recorded_changes(database)
        assert [changes.count(("token", digest)) for digest in issued[:3]] == [2, 2, 1]

    @pytest_twisted.ensureDeferred
    async def test_secrets_are_not_stored(
        self, account_store: AccountStore, token_store: TokenStore, database: Database
    ) -> None:
        await account_store.create(A)
        secrets = [(await token_store.create(A)).token, await token_store.create_api_key(A)]

        def everything(connection: Connection) -> str:
            return repr(
                [connection.execute(sa.select(table)).all() for table in tables.metadata.sorted_tables]
            )

        stored = await database.read(everything)
        assert all(secret_digest(secret) in stored for secret in secrets)
        assert not any(secret in stored for secret in secrets)

    @pytest_twisted.ensureDeferred
    async def test_tokens_need_a_known_account(self, token_store: TokenStore) -> None:
        with pytest.raises(UnknownAccount, match=A):
            await token_store.create(A)
        with pytest.raises(UnknownAccount, match=A):
            await token_store.create_api_key(A)


class TestTokenStore(TokenStoreSuite):
    """On SQLite."""


def test_the_digest_is_sha256_in_hexadecimal() -> None:
    assert secret_digest("sesame") == TokenStore.digest("sesame") == sha256(b"sesame").hexdigest()


@pytest.mark.parametrize("secret", ["", "\ud800", "ü\0", "x" * 4096])
def test_any_text_has_a_digest(secret: str) -> None:
    assert len(secret_digest(secret)) == 64
