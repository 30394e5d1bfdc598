"""Typed configuration: loads TOML and environment into one immutable `Config`, or reports all mistakes."""

from kazoo_bridge.config.amqp_uris import AmqpUri, parse_uri, parse_uris
from kazoo_bridge.config.loader import ENVIRONMENT_PREFIX, ConfigError, load
from kazoo_bridge.config.private_networks import NON_PUBLIC_NETWORKS
from kazoo_bridge.config.public_keys import ANY_KEY, read_public_keys
from kazoo_bridge.config.schema import (
    Amqp,
    Calls,
    Config,
    Couchdb,
    Crossbar,
    Directory,
    Egress,
    Http,
    Jwt,
    Log,
    Metrics,
    NodeSection,
    Opentelemetry,
    Pivot,
    Plugins,
    Storage,
    Trace,
    Webhooks,
    Websockets,
)

__all__ = [
    "ANY_KEY",
    "ENVIRONMENT_PREFIX",
    "NON_PUBLIC_NETWORKS",
    "Amqp",
    "AmqpUri",
    "Calls",
    "Config",
    "ConfigError",
    "Couchdb",
    "Crossbar",
    "Directory",
    "Egress",
    "Http",
    "Jwt",
    "Log",
    "Metrics",
    "NodeSection",
    "Opentelemetry",
    "Pivot",
    "Plugins",
    "Storage",
    "Trace",
    "Webhooks",
    "Websockets",
    "load",
    "parse_uri",
    "parse_uris",
    "read_public_keys",
]
