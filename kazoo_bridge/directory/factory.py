"""Builds the directory of the configuration: one kind, or several in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from kazoo_bridge.config import Config
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.directory.chain import DirectoryChain
from kazoo_bridge.directory.couchdb import CouchDirectory
from kazoo_bridge.directory.crossbar import CrossbarDirectory
from kazoo_bridge.directory.dialling import Dialling
from kazoo_bridge.directory.jwt import JwtDirectory
from kazoo_bridge.directory.local import LocalDirectory
from kazoo_bridge.directory.store_protocols import AccountSource, NumberSource, TokenSource
from kazoo_bridge.interfaces import IPeople

#: Kinds that only know tokens. Their accounts are those of the other kinds.
_WITHOUT_ACCOUNTS = frozenset({"jwt"})

#: Kinds that know every account of KAZOO: an account that they do not know does not exist.
_WITH_ALL_ACCOUNTS = frozenset({"couchdb", "crossbar"})


@frozen
class DirectorySources:
    """What directories are made of: the configuration, and the stores of the node's own storage."""

    reactor: Any
    config: Config
    accounts: AccountSource
    tokens: TokenSource
    numbers: NumberSource
    #: Knows the people of local accounts; None: none are known.
    people: IPeople | None = None
    #: Shared, so that all kinds convert dialled numbers as KAZOO does once its converters are known.
    dialling: Dialling = field(init=False)

    @dialling.default
    def _dialling_from_config(self) -> Dialling:
        return Dialling(self.config.directory.default_region)


_BUILDERS: Mapping[str, Callable[[DirectorySources], BaseDirectory]] = {
    "local": lambda sources: LocalDirectory(
        sources.reactor,
        sources.accounts,
        sources.tokens,
        sources.numbers,
        dialling=sources.dialling,
        people=sources.people,
    ),
    "couchdb": lambda sources: CouchDirectory.from_config(sources.reactor, sources.config, sources.dialling),
    "crossbar": lambda sources: CrossbarDirectory.from_config(sources.reactor, sources.config),
    "jwt": lambda sources: JwtDirectory.from_config(sources.reactor, sources.config),
}


def build_directory(sources: DirectorySources) -> BaseDirectory:
    """Build the directory of `directory.kind`. Raises `ConfigError` when a kind cannot be built."""
    kinds = sources.config.directory.kinds
    directories = {kind: _BUILDERS[kind](sources) for kind in kinds}
    if len(directories) == 1:
        return directories[kinds[0]]
    accounts = [directory for kind, directory in directories.items() if kind not in _WITHOUT_ACCOUNTS]
    if _WITH_ALL_ACCOUNTS.isdisjoint(kinds):
        accounts += [directory for kind, directory in directories.items() if kind in _WITHOUT_ACCOUNTS]
    return DirectoryChain(list(directories.values()), accounts)
