"""An agent for servers whose answers are bounded in size: they must not arrive compressed."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

_CONTENT_ENCODING = b"Content-Encoding"


@implementer(IAgent)
@frozen
class UncompressedAgent:
    """Asks for no compression, and lets none be decoded.

    A few hundred compressed kilobytes can become as many megabytes in one step, before any limit counts them.
    treq asks for compression and decodes it; what a server compresses nevertheless is passed on as it came.
    """

    _agent: IAgent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See `IAgent`."""
        sent = Headers() if headers is None else headers.copy()
        sent.setRawHeaders(b"Accept-Encoding", [b"identity"])
        answered: Deferred[IResponse] = self._agent.request(method, uri, sent, bodyProducer)
        return answered.addCallback(_without_encoding)


def _without_encoding(response: IResponse) -> IResponse:
    response.headers.removeHeader(_CONTENT_ENCODING)
    return response
