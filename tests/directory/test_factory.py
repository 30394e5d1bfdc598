"""The directory that a configuration asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from kazoo_bridge.config import Config, Couchdb, Crossbar, Directory, Jwt
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.directory.chain import DirectoryChain
from kazoo_bridge.directory.couchdb import CouchDirectory
from kazoo_bridge.directory.crossbar import CrossbarDirectory
from kazoo_bridge.directory.factory import DirectorySources, build_directory
from kazoo_bridge.directory.jwt import JwtDirectory
from kazoo_bridge.directory.local import LocalDirectory
from kazoo_bridge.interfaces import Account, Principal, StorageUnavailable
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.phone_numbers import NumberStore
from kazoo_bridge.storage.tokens import TokenStore
from tests.config.rsa_keys import FIRST, to_pem
from tests.directory.crossbar.stand_in import API_KEY, CUSTOMER, MASTER, RESELLER, SIBLING, StandInCrossbar
from tests.directory.test_jwt import make_token

NEVER = 4_000_000_000
UNKNOWN = "e" * 32

Build = Callable[..., Any]


@pytest_twisted.async_yield_fixture
async def crossbar() -> AsyncIterator[StandInCrossbar]:
    stand_in = StandInCrossbar()
    stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest_twisted.async_yield_fixture
async def build(
    tmp_path: Path,
    crossbar: StandInCrossbar,
    account_store: AccountStore,
    token_store: TokenStore,
    number_store: NumberStore,
    database: Database,
) -> AsyncIterator[Build]:
    keys = tmp_path / "keys.pem"
    keys.write_text(to_pem(FIRST))
    built: list[BaseDirectory] = []

    async def make(*kinds: str) -> BaseDirectory:
        config = Config(
            directory=Directory(kinds if len(kinds) > 1 else kinds[0]),
            crossbar=Crossbar(uri=crossbar.uri, api_key=API_KEY),
            jwt=Jwt(keys=str(keys)),
            couchdb=Couchdb(uri="http://127.0.0.1:9"),
        )
        directory = build_directory(
            DirectorySources(reactor, config, account_store, token_store, number_store)
        )
        await directory.load()
        directory.startService()
        built.append(directory)
        return directory

    yield make
    for directory in built:
        await directory.stopService()


def token_of(account_id: str) -> str:
    return make_token({"account_id": account_id, "exp": NEVER})


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["local"], LocalDirectory),
        (["crossbar"], CrossbarDirectory),
        (["jwt"], JwtDirectory),
        (["couchdb"], CouchDirectory),
        (["local", "couchdb"], DirectoryChain),
        (["local", "jwt"], DirectoryChain),
        (["crossbar", "local", "jwt"], DirectoryChain),
    ],
)
@pytest_twisted.ensureDeferred
async def test_kinds(build: Build, kinds: list[str], expected: type) -> None:
    directory = await build(*kinds)
    assert type(directory) is expected


@pytest_twisted.ensureDeferred
async def test_a_local_superadmin_acts_for_accounts_of_kazoo(
    build: Build, account_store: AccountStore, token_store: TokenStore
) -> None:
    operator = await account_store.create("a" * 32, superadmin=True)
    issued = await token_store.create(operator.id)
    directory = await build("local", "crossbar")
    principal = await directory.authenticate(issued.token)
    assert principal == Principal(operator.id, superadmin=True)
    assert await directory.can_act_for(principal, CUSTOMER)
    of_customer = await directory.authenticate("token-of-customer")
    assert of_customer == Principal(CUSTOMER, user_id="9" * 32)
    assert not await directory.can_act_for(of_customer, operator.id)
    assert not await directory.can_act_for(of_customer, SIBLING)
    assert await directory.can_act_for(Principal(RESELLER), CUSTOMER)


@pytest_twisted.ensureDeferred
async def test_the_accounts_of_signed_tokens_are_those_of_crossbar(
    build: Build, crossbar: StandInCrossbar
) -> None:
    directory = await build("jwt", "crossbar")
    assert await directory.authenticate(token_of(CUSTOMER)) == Principal(CUSTOMER, expires=NEVER)
    assert await directory.authenticate(token_of(MASTER)) == Principal(MASTER, True, NEVER)
    assert await directory.authenticate(token_of("4" * 32)) is None  # it is disabled
    assert await directory.authenticate(token_of(UNKNOWN)) is None
    assert await directory.account(UNKNOWN) is None
    assert await directory.can_act_for(Principal(RESELLER), CUSTOMER)
    assert "GET /token_auth" not in crossbar.asked


@pytest_twisted.ensureDeferred
async def test_beside_couchdb_signed_tokens_have_no_accounts_of_their_own(build: Build) -> None:
    directory = await build("jwt", "couchdb")
    assert "refused" in directory.problem()
    with pytest.raises(StorageUnavailable):
        await directory.authenticate(token_of(UNKNOWN))


@pytest_twisted.ensureDeferred
async def test_the_accounts_of_signed_tokens_may_be_unknown_otherwise(
    build: Build, account_store: AccountStore
) -> None:
    parent = await account_store.create("b" * 32)
    child = await account_store.create("c" * 32, parent_id=parent.id)
    directory = await build("jwt", "local")
    principal = await directory.authenticate(token_of(UNKNOWN))
    assert principal == Principal(UNKNOWN, expires=NEVER)
    assert await directory.account(UNKNOWN) == Account(UNKNOWN, "", "")
    assert await directory.can_act_for(principal, UNKNOWN)
    assert not await directory.can_act_for(principal, child.id)
    of_parent = await directory.authenticate(token_of(parent.id))
    assert await directory.can_act_for(of_parent, child.id)
    assert directory.ancestors(child.id) == (parent.id,)
