"""Builds the parts of one node from its configuration. Only this module and `node` know all packages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, cast

from kazoo_bridge.calls.service import CallService
from kazoo_bridge.calls.traced_calls import TracedCallService
from kazoo_bridge.config import Config, ConfigError
from kazoo_bridge.directory.factory import DirectorySources, build_directory
from kazoo_bridge.interfaces import IBus, IDirectory, IPeople, declared_exchanges
from kazoo_bridge.node.account_manager import follow_deletion
from kazoo_bridge.node.node import Node
from kazoo_bridge.node.node_name import node_name
from kazoo_bridge.node.parts import (
    make_bus,
    make_hook_source,
    make_retention,
    make_span_recorder,
    make_webhook_stores,
)
from kazoo_bridge.node.processes.workers import Workers
from kazoo_bridge.pivot.service import PivotService
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.change_feed import ChangeFeed
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.phone_numbers import NumberStore
from kazoo_bridge.storage.pivots import PivotStore
from kazoo_bridge.storage.tokens import TokenStore
from kazoo_bridge.webhooks.service import WebhookService
from kazoo_bridge.websockets.service import WebsocketService


def build_node(
    reactor: Any,
    config: Config,
    loading: Callable[[], AbstractContextManager[None]] = nullcontext,
    people: IPeople | None = None,
    workers: Workers | None = None,
    worker: int = 0,
) -> Node:
    """Build the parts; nothing runs yet. Raises `ConfigError` when the configuration cannot be used.

    `people` knows the people of local accounts; None: none are known. `workers` are further processes of
    the node. `worker`: the number of this worker among them; 0: it is none.
    """
    made = make_bus(reactor, config)
    bus = cast(IBus, made)
    categories = find_categories(config.plugins.path)
    for category in categories:
        made.add_exchanges(declared_exchanges(category))
    try:
        database = Database(
            reactor,
            config.storage.uri,
            backup_before_upgrade=config.storage.backup_before_upgrade,
        )
    except ValueError as error:
        raise ConfigError([f"storage.uri: {error}"]) from None
    name = node_name(config, worker)
    accounts, token_store = AccountStore(reactor, database), TokenStore(reactor, database)
    directory = build_directory(
        DirectorySources(reactor, config, accounts, token_store, NumberStore(database), people)
    )
    hook_source = make_hook_source(reactor, config, database, name)
    pivot_store = PivotStore(reactor, database)
    stores = make_webhook_stores(hook_source, database)
    on_account_deleted = partial(follow_deletion, accounts, pivot_store)
    spans = make_span_recorder(reactor, config, name)
    webhooks = WebhookService.from_config(
        reactor, config, bus, directory, stores, categories, name, on_account_deleted, spans
    )
    pivots = PivotService.from_config(reactor, config, bus, pivot_store)
    calls = CallService.from_config(
        reactor, config, bus, webhooks.check_command_url, cast(IDirectory, directory)
    )
    if spans is not None:
        calls = TracedCallService.from_service(calls, spans, reactor)
    return Node(
        reactor=reactor,
        config=config,
        name=name,
        bus=made,
        categories=categories,
        database=database,
        change_feed=ChangeFeed(reactor, database),
        retention=make_retention(reactor, config, database),
        accounts=accounts,
        tokens=token_store,
        directory=directory,
        hook_source=hook_source,
        webhooks=webhooks,
        calls=calls,
        pivots=pivots,
        websockets=WebsocketService.from_config(
            reactor, config, bus, directory, categories, name, calls=calls, pivots=pivots
        ),
        loading=loading,
        spans=spans,
        workers=workers or Workers(reactor),
        is_worker=worker > 0,
    )
