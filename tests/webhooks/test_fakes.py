"""The fakes have the methods of the interfaces that they stand for."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
    IAttemptStore,
    IBus,
    IDeliveryStore,
    IDirectory,
    IEventCategory,
    IHookStore,
    ILimitStore,
)
from tests.webhooks.fakes import (
    FakeAgent,
    FakeAttemptStore,
    FakeBus,
    FakeCategory,
    FakeDeliveryStore,
    FakeDirectory,
    FakeHookStore,
    FakeLimitStore,
    FakeResponse,
)


@pytest.mark.parametrize(
    ("interface", "fake"),
    [
        (IAttemptStore, FakeAttemptStore()),
        (IDeliveryStore, FakeDeliveryStore()),
        (ILimitStore, FakeLimitStore()),
        (IHookStore, FakeHookStore()),
        (IBus, FakeBus()),
        (IEventCategory, FakeCategory()),
        (IDirectory, FakeDirectory({})),
        (IAgent, FakeAgent(Clock())),
        (IResponse, FakeResponse(200, Headers())),
    ],
)
def test_fake_provides_its_interface(interface: Any, fake: Any) -> None:
    assert verifyObject(interface, fake)
