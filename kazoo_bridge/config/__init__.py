"""Typed configuration: TOML and environment in, one immutable `Config` or every mistake at once out."""

from kazoo_bridge.config.amqp_uris import AmqpUri, parse_uri, parse_uris
from kazoo_bridge.config.networks import NON_PUBLIC_NETWORKS
from kazoo_bridge.config.reading import ENVIRONMENT_PREFIX, ConfigError, load
from kazoo_bridge.config.sections import Amqp, Calls, Config, Directory, Egress, Http, Plugins, Storage, Webhooks, Websockets

__all__ = [
    "ENVIRONMENT_PREFIX",
    "NON_PUBLIC_NETWORKS",
    "Amqp",
    "AmqpUri",
    "Calls",
    "Config",
    "ConfigError",
    "Directory",
    "Egress",
    "Http",
    "Plugins",
    "Storage",
    "Webhooks",
    "Websockets",
    "load",
    "parse_uri",
    "parse_uris",
]
