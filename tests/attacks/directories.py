"""A directory of each kind with the same accounts, and a token of each actor: the authorization matrix."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet import reactor as installed_reactor

from kazoo_bridge.config import Config, Crossbar, Jwt
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.directory.chain import DirectoryChain
from kazoo_bridge.directory.couchdb import CouchDirectory
from kazoo_bridge.directory.couchdb.cached_reader import Freshness
from kazoo_bridge.directory.crossbar import CrossbarDirectory
from kazoo_bridge.directory.jwt import JwtDirectory
from kazoo_bridge.directory.local import LocalDirectory
from tests.config.rsa_keys import FIRST, SECOND, to_jwk
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.kazoo_cluster import KazooCluster
from tests.directory.crossbar.stand_in import API_KEY, Record, StandInCrossbar
from tests.directory.fakes import FakeAccountRow
from tests.directory.test_jwt import make_token
from tests.directory.test_local import FakeAccounts, FakeNumbers, FakeTokens

reactor: Any = installed_reactor

MASTER, GRANDPARENT, PARENT, SELF, CHILD, SIBLING = (f"{number:032x}" for number in range(6))

#: The account of each actor that has one.
ACCOUNTS = {
    "sibling": SIBLING,
    "child": CHILD,
    "self": SELF,
    "parent": PARENT,
    "grandparent": GRANDPARENT,
    "super-admin": MASTER,
    "restricted": SELF,
}

ACTORS = ("none", "expired", "wrong signature", *ACCOUNTS)

#: What the restricted actor may do.
RESTRICTIONS = {"get": [f"accounts/{SELF}/webhooks/#"]}

#: The ancestors of each account, top first.
TREE = {
    MASTER: (),
    GRANDPARENT: (MASTER,),
    PARENT: (MASTER, GRANDPARENT),
    SELF: (MASTER, GRANDPARENT, PARENT),
    CHILD: (MASTER, GRANDPARENT, PARENT, SELF),
    SIBLING: (MASTER, GRANDPARENT, PARENT),
}

NEVER, PAST = 4_000_000_000, 1_000_000_000


@frozen
class ActedDirectory:
    """A directory, and the token of each actor; None: the actor sends none."""

    directory: BaseDirectory
    tokens: Mapping[str, str | None]


Kind = Callable[[Path], AbstractAsyncContextManager[ActedDirectory]]


def _opaque_tokens() -> dict[str, str | None]:
    return {actor: None if actor == "none" else f"token-of-{actor.replace(' ', '-')}" for actor in ACTORS}


def _signed_tokens() -> dict[str, str | None]:
    tokens: dict[str, str | None] = {
        actor: make_token({"account_id": account_id, "exp": NEVER})
        for actor, account_id in ACCOUNTS.items()
        if actor != "restricted"
    }
    return tokens | {
        "none": None,
        "expired": make_token({"account_id": SELF, "exp": PAST}),
        "wrong signature": make_token({"account_id": SELF, "exp": NEVER}, key=SECOND),
        "restricted": make_token({"account_id": SELF, "exp": NEVER, "restrictions": RESTRICTIONS}),
    }


def make_local() -> tuple[LocalDirectory, dict[str, str | None]]:
    rows = (
        FakeAccountRow(one, (*tree, None)[-2] if tree else None, superadmin=one == MASTER)
        for one, tree in TREE.items()
    )
    stored, tokens = FakeTokens(reactor), _opaque_tokens()
    for actor, account_id in ACCOUNTS.items():
        restrictions = json.dumps(RESTRICTIONS) if actor == "restricted" else None
        stored.add(str(tokens[actor]), account_id, restrictions=restrictions)
    stored.add(str(tokens["expired"]), SELF, PAST)
    return LocalDirectory(reactor, FakeAccounts(*rows), stored, FakeNumbers()), tokens


def make_jwt(folder: Path) -> JwtDirectory:
    path = folder / "keys"
    path.write_text(json.dumps({"keys": [to_jwk(FIRST, "first")]}))
    return JwtDirectory.from_config(reactor, Config(jwt=Jwt(str(path))))


@asynccontextmanager
async def crossbar_directory() -> AsyncIterator[ActedDirectory]:
    tokens = _opaque_tokens()
    crossbar = StandInCrossbar(
        {one: Record(one, tree, superadmin=one == MASTER) for one, tree in TREE.items()},
        {str(tokens[actor]): {"account_id": account_id} for actor, account_id in ACCOUNTS.items()},
        {API_KEY: MASTER},
    )
    crossbar.tokens[str(tokens["restricted"])]["restrictions"] = RESTRICTIONS
    crossbar.tokens[str(tokens["expired"])] = {"account_id": SELF, "exp": PAST}
    crossbar.start()
    directory = CrossbarDirectory.from_config(
        reactor, Config(crossbar=Crossbar(uri=crossbar.uri, api_key=API_KEY))
    )
    try:
        async with running(directory, tokens) as acted:
            yield acted
    finally:
        await crossbar.stop()


def make_couchdb() -> tuple[CouchDirectory, dict[str, str | None]]:
    couch = FakeCouch()
    cluster = KazooCluster(couch)
    cluster.populate()
    for one, tree in TREE.items():
        cluster.save_account(one, pvt_tree=list(tree), pvt_superduper_admin=one == MASTER)
    tokens: dict[str, str | None] = {
        actor: cluster.token(account_id) for actor, account_id in ACCOUNTS.items() if actor != "restricted"
    }
    tokens |= {
        "none": None,
        "expired": cluster.token(SELF, exp=PAST),
        "wrong signature": cluster.token(SELF, key="forged"),
        "restricted": cluster.token(SELF, restrictions=RESTRICTIONS),
    }
    directory = CouchDirectory(reactor, couch.client(reactor), Freshness(new=60, usable=600))
    return directory, tokens


@asynccontextmanager
async def running(
    directory: BaseDirectory, tokens: Mapping[str, str | None]
) -> AsyncIterator[ActedDirectory]:
    await directory.load()
    directory.startService()
    try:
        yield ActedDirectory(directory, tokens)
    finally:
        await directory.stopService()


@asynccontextmanager
async def local_beside_crossbar() -> AsyncIterator[ActedDirectory]:
    async with crossbar_directory() as crossbar:
        local = LocalDirectory(reactor, FakeAccounts(), FakeTokens(reactor), FakeNumbers())
        yield ActedDirectory(DirectoryChain([local, crossbar.directory]), crossbar.tokens)


def local_beside_jwt(folder: Path) -> AbstractAsyncContextManager[ActedDirectory]:
    local, jwt = make_local()[0], make_jwt(folder)
    return running(DirectoryChain([jwt, local], [local, jwt]), _signed_tokens())


#: A kind by name.
KINDS: Mapping[str, Kind] = {
    "local": lambda _folder: running(*make_local()),
    "crossbar": lambda _folder: crossbar_directory(),
    "couchdb": lambda _folder: running(*make_couchdb()),
    "jwt": lambda folder: running(make_jwt(folder), _signed_tokens()),
    "local, crossbar": lambda _folder: local_beside_crossbar(),
    "jwt, local": local_beside_jwt,
}

#: Kinds that know no relatives: an account may act for itself alone.
WITHOUT_TREE = frozenset({"jwt"})


def may_act(kind: str, actor: str) -> bool:
    """Return whether the actor may act for `SELF`, its token's restrictions aside."""
    if actor in ("self", "restricted"):
        return True
    return actor in ("parent", "grandparent", "super-admin") and kind not in WITHOUT_TREE
