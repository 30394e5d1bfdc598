"""Creates the stores of hooks that the configuration names, and the service that removes old rows."""

from __future__ import annotations

from typing import Any

from kazoo_bridge.config import Config
from kazoo_bridge.storage import change_log, tokens
from kazoo_bridge.storage.attempt_limits import AttemptLimits
from kazoo_bridge.storage.attempts import AttemptStore, purge_older_than
from kazoo_bridge.storage.couchdb_hooks.source import CouchHookSource
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.delivery_retention import expire_excess, expire_old, purge_dead
from kazoo_bridge.storage.hook_source import HookSource
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.retention import RetentionService

_SECONDS_PER_DAY = 86400

#: Seconds between two removals of old rows.
_RETENTION_INTERVAL = 60


def make_retention(reactor: Any, config: Config, database: Database) -> RetentionService:
    """Create the service that removes what is older or more than the configuration allows."""
    settings = config.webhooks
    purges = {
        "changes": change_log.purge,
        "tokens": tokens.purge,
        "attempts": purge_older_than(settings.attempt_retention_days * _SECONDS_PER_DAY),
        "deliveries_waited_too_long": expire_old(settings.pending_max_age_s),
        "deliveries_too_many_waiting": expire_excess(settings.pending_max_per_hook),
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
