"""The bus over AMQP 0-9-1: the project's own frame reader and writer within the shell of txAMQP's client."""

from kazoo_bridge.bus.amqp.bus import AmqpBus

__all__ = ["AmqpBus"]
