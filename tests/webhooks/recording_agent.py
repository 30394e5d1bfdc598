"""An agent without a network."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer


@implementer(IAgent)
@define
class RecordingAgent:
    """Records URIs and headers; never responds."""

    uris: list[bytes] = field(factory=list)
    headers: list[Headers | None] = field(factory=list)

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        self.uris.append(uri)
        self.headers.append(headers)
        return Deferred()
