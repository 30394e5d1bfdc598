from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IAgent
from zope.interface.verify import verifyObject

from kazoo_bridge.webhooks.egress.receiver_response import MAX_BODY_BYTES
from kazoo_bridge.webhooks.http.fixed_url_agent import FixedUrlAgent, read_prefix
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Sender
from tests.webhooks.harness import results_of
from tests.webhooks.recording_agent import RecordingAgent


def test_agents_implement_their_interface() -> None:
    verifyObject(IAgent, RecordingAgent())
    verifyObject(IAgent, FixedUrlAgent(RecordingAgent(), b"http://hook.example/"))


@pytest.mark.parametrize(
    "url", ["http://[::1]:81/a%2Fb/../c", "http://h?x[y]=%zz&&=", "https://u:p@hook.example/%7e//x"]
)
def test_the_url_is_requested_byte_by_byte_without_accepting_compression(url: str) -> None:
    agent = RecordingAgent()
    sending = Deferred.fromCoroutine(Sender(Clock(), agent, 5).send(HookRequest("GET", url, {}, b"")))
    assert agent.uris == [url.encode()]
    assert agent.headers[0] is not None
    assert not agent.headers[0].hasHeader("Accept-Encoding")
    sending.addErrback(lambda failure: failure.trap(CancelledError))
    sending.cancel()


class Body:
    """A response whose body the test delivers."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.body = bytearray()
        response: Any = self
        self.read = read_prefix(response, self.body)
        self.results = results_of(self.read)

    def deliverBody(self, protocol: IProtocol) -> None:
        self.protocol = protocol
        protocol.makeConnection(self.transport)

    def end(self, error: Exception) -> None:
        self.protocol.connectionLost(Failure(error))


@pytest.mark.parametrize("end", [ResponseDone(), PotentialDataLoss()])
def test_a_short_body_is_read_completely(end: Exception) -> None:
    body = Body()
    body.protocol.dataReceived(b"a")
    body.protocol.dataReceived(b"b")
    assert body.results == []
    body.end(end)
    assert (bytes(body.body), body.results) == (b"ab", [None])
    assert not body.transport.disconnecting


def test_reading_a_long_body_ends_at_the_limit() -> None:
    body = Body()
    for _ in range(3):
        body.protocol.dataReceived(b"x" * (MAX_BODY_BYTES - 1))
    assert (len(body.body), body.results) == (MAX_BODY_BYTES, [None])
    assert body.transport.disconnecting
    body.end(ConnectionDone())


def test_a_body_that_ends_early_is_a_failure_and_kept() -> None:
    body = Body()
    body.protocol.dataReceived(b"a")
    body.end(ResponseFailed([]))
    assert body.results[0].check(ResponseFailed)
    assert body.body == b"a"


def test_cancelling_closes_the_connection() -> None:
    body = Body()
    body.read.cancel()
    assert body.transport.disconnecting
    assert body.results[0].check(CancelledError)
