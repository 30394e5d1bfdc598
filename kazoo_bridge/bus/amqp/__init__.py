"""The bus over AMQP 0-9-1: txAMQP's client with its defects mended, and the `IBus` built on it."""

from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.amqp.uris import AmqpUri, parse_uri, parse_uris

__all__ = ["AmqpBus", "AmqpUri", "parse_uri", "parse_uris"]
