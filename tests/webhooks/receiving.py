"""A web server for tests on a real socket, which records every request."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site


@define
class Received:
    """One request. The names of headers are in lower case."""

    method: str
    uri: bytes
    headers: dict[str, str]
    body: bytes


@define(eq=False)
class Receiver(Resource):
    """Answers with each of `statuses` in turn, the last one for ever; 0 means no answer.

    `received` are the requests; `hanging` are those without an answer. `url` and `port` are set by `start`.
    """

    isLeaf = True
    statuses: list[int] = field(factory=lambda: [200])
    received: list[Received] = field(factory=list)
    hanging: list[Request] = field(factory=list)
    _port: Any = None
    _waiting: list[tuple[int, Deferred[None]]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        Resource.__init__(self)

    async def start(self) -> str:
        """Listen on loopback; return the base URL."""
        self._port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(self))
        return self.url

    @property
    def port(self) -> int:
        port: int = self._port.getHost().port
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        for request in self.hanging:
            request.transport.abortConnection()  # type: ignore[union-attr] # connected
        if self._port is not None:
            await self._port.stopListening()

    def arrived(self, count: int) -> Deferred[None]:
        """Fires when `count` requests have been received."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((count, waiting))
        self._notify()
        return waiting.addTimeout(20, reactor)

    def _notify(self) -> None:
        for count, waiting in list(self._waiting):
            if len(self.received) >= count:
                self._waiting.remove((count, waiting))
                waiting.callback(None)

    def render(self, request: Request) -> Any:
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        assert request.content is not None
        body = request.content.read()
        self.received.append(Received(request.method.decode(), request.uri, headers, body))
        status = self.statuses[0]
        if len(self.statuses) > 1:
            del self.statuses[0]
        self._notify()
        if status == 0:
            self.hanging.append(request)
            request.notifyFinish().addErrback(lambda _: self.hanging.remove(request))
            return NOT_DONE_YET
        request.setResponseCode(status)
        return b"ok"
