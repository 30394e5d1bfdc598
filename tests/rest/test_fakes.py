from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import IDirectory, IEventStream, IStreamTransport, IWebhooks, IWebsockets
from kazoo_bridge.rest.resources.events import RequestTransport
from tests.rest.fakes import FakeDirectory, FakeProducer, FakeStream, FakeWebsockets
from tests.rest.harness import RestHarness


def test_fakes_provide_their_interfaces() -> None:
    unused: Any = None
    assert verifyObject(IDirectory, FakeDirectory())
    assert verifyObject(IWebsockets, FakeWebsockets())
    assert verifyObject(IEventStream, FakeStream(unused, unused))
    assert verifyObject(IPushProducer, FakeProducer())
    assert verifyObject(IStreamTransport, RequestTransport(unused))


def test_services_of_a_node_provide_their_interfaces(rest: RestHarness) -> None:
    services = rest.node.rest_services()
    assert verifyObject(IWebhooks, services.webhooks)
    assert verifyObject(IWebsockets, services.websockets)
    assert verifyObject(IDirectory, services.directory)
