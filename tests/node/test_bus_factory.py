from __future__ import annotations

from attrs import evolve
from twisted.internet.testing import MemoryReactorClock as Clock

from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.zones import ZonedBus
from kazoo_bridge.config import Amqp, Config
from kazoo_bridge.node.bus_factory import is_embedded, make_bus


def test_the_bus_is_the_one_of_the_configuration() -> None:
    assert isinstance(make_bus(Clock(), evolve(Config(), amqp=Amqp(uri="embedded:"))), EmbeddedBus)
    assert isinstance(make_bus(Clock(), evolve(Config(), amqp=Amqp(uri="amqp://localhost"))), AmqpBus)
    zoned = make_bus(
        Clock(), evolve(Config(), amqp=Amqp("amqp://one", zones=("amqp://u:p@two,amqp://b", "amqp://c")))
    )
    assert isinstance(zoned, ZonedBus)
    assert zoned.degraded() == ["zone 1: the bus is not started", "zone 2: the bus is not started"]


def test_whether_the_bus_is_embedded() -> None:
    assert is_embedded(Config())
    assert not is_embedded(evolve(Config(), amqp=Amqp(uri="amqp://localhost")))
