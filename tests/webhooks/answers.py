"""Answers of receivers that are only played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer


@implementer(IResponse)
@define
class Played:
    """A whole answer with an empty body."""

    code: int
    headers: Headers
    version: tuple[bytes, int, int] = (b"HTTP", 1, 1)
    phrase: bytes = b""
    length: Any = UNKNOWN_LENGTH
    request: Any = None
    previousResponse: Any = None
    _connection: StringTransport = field(factory=StringTransport)

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(self._connection)
        protocol.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: Any) -> None:
        self.previousResponse = response


def answer(waiting: Deferred[Any], status: int, headers: Mapping[str, str] | None = None) -> None:
    """Let a receiver answer."""
    waiting.callback(Played(status, Headers({name: [value] for name, value in (headers or {}).items()})))
