from __future__ import annotations

from attrs import evolve
from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.zones import ZonedBus
from kazoo_bridge.config import Amqp, Config
from kazoo_bridge.node.bus_factory import make_bus


def test_the_bus_is_the_one_of_the_configuration() -> None:
    assert isinstance(make_bus(Clock(), evolve(Config(), amqp=Amqp(uri="embedded:"))), EmbeddedBus)
    assert isinstance(make_bus(Clock(), evolve(Config(), amqp=Amqp(uri="amqp://localhost"))), AmqpBus)
    zoned = make_bus(
        Clock(), evolve(Config(), amqp=Amqp("amqp://one", zones=("amqp://u:p@two,amqp://b", "amqp://c")))
    )
    assert isinstance(zoned, ZonedBus)
    assert zoned.degraded() == ["zone 1: the bus is not started", "zone 2: the bus is not started"]
