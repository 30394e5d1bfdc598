"""The bus over AMQP 0-9-1: an own reader and writer in the shell of txAMQP's client, and the `IBus` built on it."""

from kazoo_bridge.bus.amqp.bus import AmqpBus

__all__ = ["AmqpBus"]
