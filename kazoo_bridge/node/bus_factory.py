"""Makes the bus that the configuration names."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.amqp.queue_arguments import durable_queue_arguments
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.bus.zones import ZonedBus
from kazoo_bridge.config import Config, parse_uris

AnyBus = AmqpBus | EmbeddedBus | ZonedBus


def is_embedded(config: Config) -> bool:
    """Return whether the bus is within the process of the node."""
    return config.amqp.uri.strip() == "embedded:"


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
