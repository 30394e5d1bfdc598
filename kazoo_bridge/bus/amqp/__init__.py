"""The bus over AMQP 0-9-1: txAMQP's client with its defects mended, and the `IBus` built on it."""

from kazoo_bridge.bus.amqp.bus import AmqpBus

__all__ = ["AmqpBus"]
