"""Puts on the wire exactly what a hook's owner wrote."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer


@implementer(IAgent)
@frozen
class FixedUrlAgent:
    """Requests `url` byte by byte, whatever URL it is asked for, and neither asks for nor unpacks compressed answers."""

    agent: IAgent
    url: bytes

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """As `IAgent.request`, with `url` in the place of `uri`."""
        if headers is not None:
            headers.removeHeader(b"Accept-Encoding")
        answered: Deferred[IResponse] = self.agent.request(method, self.url, headers, bodyProducer)
        return answered.addCallback(_without_decoding)


def _without_decoding(response: IResponse) -> IResponse:
    # A small compressed answer can unpack to gigabytes, and nobody reads it anyway.
    response.headers.removeHeader(b"Content-Encoding")
    return response
