"""Lets treq send requests to URLs that it would rewrite, and reads the beginning of their responses."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.receiver_response import MAX_BODY_BYTES


@implementer(IAgent)
@frozen
class FixedUrlAgent:
    """Requests exactly `url`, whatever URI it is given, and neither requests nor decodes compression."""

    agent: IAgent
    url: bytes

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request like `IAgent.request`, to `url` instead of `uri`."""
        if headers is not None:
            headers.removeHeader(b"Accept-Encoding")
        response: Deferred[IResponse] = self.agent.request(method, self.url, headers, bodyProducer)
        return response.addCallback(_without_decoding)


def _without_decoding(response: IResponse) -> IResponse:
    # A small compressed body can decode to gigabytes.
    response.headers.removeHeader(b"Content-Encoding")
    return response


def read_prefix(response: IResponse, body: bytearray) -> Deferred[None]:
    """Read at most `MAX_BODY_BYTES` of the response's body into `body`.

    Fires when the body is complete or the limit is reached; the latter closes the connection. Fails with
    `ResponseFailed` if the body ends early; `body` then holds what was received. Cancelling closes the
    connection.
    """
    reader = _PrefixReader(body)
    response.deliverBody(reader)
    return reader.done


class _PrefixReader(Protocol):
    """Collects a body until its end or the limit, whichever is first."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self.done: Deferred[None] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        self._body.extend(data[: MAX_BODY_BYTES - len(self._body)])
        if len(self._body) >= MAX_BODY_BYTES and not self.done.called:
            self._close()
            self.done.callback(None)

    def _close(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(None)
        else:
            self.done.errback(reason)
