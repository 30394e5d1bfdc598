"""Builds those parts of a node that the configuration chooses among several: bus, hooks, retention."""

from __future__ import annotations

import secrets
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.amqp.queue_arguments import durable_queue_arguments
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.bus.zones import ZonedBus
from kazoo_bridge.config import Config, parse_uris
from kazoo_bridge.storage import change_log, tokens
from kazoo_bridge.storage.attempt_limits import AttemptLimits
from kazoo_bridge.storage.attempts import AttemptStore, purge_older_than
from kazoo_bridge.storage.couchdb_hooks.source import CouchHookSource
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.delivery_retention import expire_excess, expire_old, purge_dead
from kazoo_bridge.storage.hook_source import HookSource
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.missed_events import MissedEventStore
from kazoo_bridge.storage.pivots import purge_records
from kazoo_bridge.storage.retention import RetentionService
from kazoo_bridge.storage.settings import LimitStore, SettingStore
from kazoo_bridge.webhooks.service import WebhookStores

if TYPE_CHECKING:
    from kazoo_bridge.node.span_exporter import OtlpSpanRecorder

#: The kinds of buses.
AnyBus = AmqpBus | EmbeddedBus | ZonedBus

_SECONDS_PER_DAY = 86400

#: Seconds between two removals of old rows.
_RETENTION_INTERVAL = 60


def is_embedded(config: Config) -> bool:
    """Return True if the bus of the configuration is inside the process of the node."""
    return config.amqp.is_embedded


def make_bus(reactor: Any, config: Config) -> AnyBus:
    """Create the bus of `amqp.uri`: embedded, or AMQP with its failover brokers, and with `amqp.zones`."""
    if is_embedded(config):
        return EmbeddedBus(reactor)
    name = f"kazoo_bridge on {socket.gethostname()}"
    arguments = durable_queue_arguments(config.amqp)
    # One decoder, so that the messages of all zones are counted together.
    make = partial(AmqpBus, reactor, connection_name=name, decoder=MessageDecoder(reactor))
    home = make(uris=parse_uris(config.amqp.uri), queue_arguments=arguments)
    others = [make(uris=parse_uris(uris)) for uris in config.amqp.zones]
    return ZonedBus(reactor, home, others) if others else home


def make_retention(reactor: Any, config: Config, database: Database) -> RetentionService:
    """Create the service that removes what is older or more than the configuration allows."""
    settings = config.webhooks
    purges = {
        "changes": change_log.purge,
        "tokens": tokens.purge,
        "attempts": purge_older_than(settings.attempt_retention_days * _SECONDS_PER_DAY),
        "deliveries_waited_too_long": expire_old(settings.pending_max_age_s),
        "deliveries_too_many_waiting": expire_excess(settings.pending_max_per_hook),
        "pivot_records": purge_records,
        "dead_deliveries": purge_dead(
            settings.dead_retention_days * _SECONDS_PER_DAY, settings.dead_max_per_hook
        ),
    }
    return RetentionService(reactor, database, purges, _RETENTION_INTERVAL)


def make_hook_source(reactor: Any, config: Config, database: Database, name: str) -> HookSource:
    """Create the stores of ``webhooks.source``. `name` is that of this node."""
    settings = config.webhooks
    attempt_limits = AttemptLimits(settings.attempts_max_per_hook, settings.attempts_max_per_account)
    attempts = AttemptStore(database, attempt_limits)
    if settings.source == "couchdb":
        return CouchHookSource.from_config(reactor, config, database, attempts, name)
    return HookSource(HookStore(reactor, database, settings.max_hooks_per_account), attempts)


def make_webhook_stores(hook_source: HookSource, database: Database) -> WebhookStores:
    """Create what webhooks store; the cluster's id is made by the first node."""
    settings = SettingStore(database)
    return WebhookStores(
        hook_source.hooks,
        hook_source.attempts,
        DeliveryStore(database, hook_source.kind),
        MissedEventStore(database),
        LimitStore(database),
        cluster_id=partial(settings.get_or_create, "cluster_id", lambda: secrets.token_hex(16)),
    )


def make_span_recorder(reactor: Any, config: Config, name: str) -> OtlpSpanRecorder | None:
    """Create what exports spans; None without ``opentelemetry.endpoint``. `name` is that of this node."""
    if not config.opentelemetry.endpoint:
        return None
    # Not at the top: its extra need not be installed.
    from kazoo_bridge.node.span_exporter import OtlpSpanRecorder

    return OtlpSpanRecorder(reactor, config.opentelemetry, name)
