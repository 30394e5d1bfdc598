from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import succeed
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent
from zope.interface import implementer

from kazoo_bridge import __version__
from kazoo_bridge.webhooks.egress import BadDestination, parse_destination
from kazoo_bridge.webhooks.egress.agent import PooledAgent
from kazoo_bridge.webhooks.egress.destination import Origin
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Sender
from kazoo_bridge.webhooks.http.wire_request import wire_request
from tests.webhooks.doors import by_send
from tests.webhooks.egress.memory_connections import MemoryPool

REQUESTS = [
    HookRequest("POST", "http://hook.example/x?y=1", {"X-Hook-ID": "h", "Content-Type": "text/a"}, b"a=1"),
    HookRequest("PUT", "http://me:secret@hook.example:81/", {"User-agent": "mine"}, b"{}"),
    HookRequest("GET", "http://me:secret@hook.example", {"authorization": "Bearer t"}, b""),
    HookRequest("POST", "http://[2606:4700::1]:8080/", {"X-Account-ID": "ä€"}, b""),
    HookRequest("put", "HTTP://Hook.Example./#f", {"host": "other.example"}, b"x" * 1000),
    HookRequest("POST", "http://hook.example/", {"X-A": "b\r\nInjected: 1"}, b""),
]


@implementer(IAgent)
class TwistedAgent:
    """Twisted's own agent; `sent` is what it has written. Credentials in URLs become a header."""

    def __init__(self, persistent: bool) -> None:
        self.clock = MemoryReactorClock()
        pool = HTTPConnectionPool(self.clock, persistent)
        self.agent = Agent.usingEndpointFactory(self.clock, self, pool)
        self.transport = StringTransport()

    @property
    def sent(self) -> bytes:
        sent: bytes = self.transport.value()
        return sent

    def endpointForURI(self, uri: Any) -> Any:
        return self

    def connect(self, factory: Any) -> Any:
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(self.transport)
        return succeed(protocol)

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Any:
        destination = parse_destination(uri.decode())
        if destination.authorization is not None and not headers.hasHeader("Authorization"):
            headers.setRawHeaders("Authorization", [destination.authorization.decode()])
        return self.agent.request(method, destination.location.encode(), headers, bodyProducer)


def head_and_body(sent: bytes) -> tuple[bytes, list[bytes], bytes]:
    head, _, body = sent.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, sorted(lines), body


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("idle_timeout", [15.0, 0.0])
def test_both_doors_send_what_twisteds_agent_sends(request_: HookRequest, idle_timeout: float) -> None:
    memory = MemoryPool(idle_timeout)
    sender = Sender(memory.clock, PooledAgent(memory.pool), 5, pool=memory.pool)
    by_send(sender, request_)
    sender.begin(wire_request(request_, persistent=sender.persistent), lambda outcome: None)
    agent = TwistedAgent(persistent=idle_timeout > 0)
    by_send(Sender(memory.clock, agent, 5), request_)
    expected = head_and_body(agent.sent)
    assert [head_and_body(memory.transport(number).value()) for number in range(2)] == [expected] * 2


def test_the_fields_are_those_of_the_request() -> None:
    request = HookRequest("PUT", "https://u:secret@hook.example/x", {}, b"b", frozenset({204}), 1.5)
    wire = wire_request(request)
    assert wire.origin == Origin("https", "hook.example", 443)
    assert (wire.method, wire.timeout, wire.success_statuses) == ("PUT", 1.5, frozenset({204}))
    assert wire.source() is request
    assert "secret" not in repr(wire)
    assert wire.data == (
        b"PUT /x HTTP/1.1\r\nContent-Length: 1\r\nHost: hook.example\r\n"
        b"Authorization: Basic dTpzZWNyZXQ=\r\nUser-Agent: kazoo_bridge/%b\r\n\r\nb" % __version__.encode()
    )


def test_a_get_without_a_body_has_no_length() -> None:
    assert b"Content-Length" not in wire_request(HookRequest("GET", "http://h/", {}, b"")).data
    assert b"\r\nContent-Length: 0\r\n" in wire_request(HookRequest("POST", "http://h/", {}, b"")).data


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET /x HTTP/1.1\r\nX: y\r\n\r\nGET", {}),
        ("GE T", {}),
        ("", {}),
        ("GET", {"X: y\r\nZ": "1"}),
        ("GET", {"X Y": "1"}),
        ("GET", {"": "1"}),
        ("GET", {"X": "a\0b"}),
    ],
)
def test_what_is_not_http_is_refused(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wire_request(HookRequest(method, "http://hook.example/", headers, b""))


def test_a_malformed_url_is_refused() -> None:
    with pytest.raises(BadDestination):
        wire_request(HookRequest("GET", "http://2130706433/", {}, b""))


def test_line_breaks_in_values_become_spaces() -> None:
    data = wire_request(HookRequest("GET", "http://h/", {"X": "a\r\nInjected: 1\nb"}, b"")).data
    assert b"\r\nX: a Injected: 1 b\r\n" in data
