from __future__ import annotations

from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import IBus, ICalls, ICallWatch, IConsumer, IDirectory, IStreamTransport
from tests.websockets.fakes import (
    FakeBus,
    FakeCalls,
    FakeCallWatch,
    FakeConsumer,
    FakeDirectory,
    FakeTransport,
)


def test_fakes_have_the_interfaces_of_what_they_stand_for() -> None:
    assert verifyObject(IDirectory, FakeDirectory())
    assert verifyObject(IStreamTransport, FakeTransport())
    assert verifyObject(IConsumer, FakeConsumer())
    assert verifyObject(IBus, FakeBus())
    assert verifyObject(ICalls, FakeCalls())
    assert verifyObject(ICallWatch, FakeCallWatch("a", lambda _change: None))
