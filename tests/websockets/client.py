"""A websocket client, like those of customers."""

from __future__ import annotations

import itertools
import json
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import clientFromString

#: Seconds within which the server must send what a test expects.
TIMEOUT = 10.0


class _Protocol(WebSocketClientProtocol):  # type: ignore[misc] # Autobahn has no types
    owner: WebsocketClient

    def onOpen(self) -> None:
        self.owner.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.owner.on_message(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.owner.opened.called:
            self.owner.opened.errback(ConnectionRefusedError(reason))
        if not self.owner.closed.called:
            code, reason = self.remoteCloseCode or code, self.remoteCloseReason or reason
            self.owner.closed.callback((code or 0, reason or ""))


class WebsocketClient:
    """One socket. `request` returns the reply with its request id; `events` and `notices` are in order."""

    def __init__(self, address: str, **options: Any) -> None:
        self.address = address
        self.options = options
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[tuple[int, str]] = Deferred()
        self.events: DeferredQueue[dict[str, Any]] = DeferredQueue()
        self.notices: DeferredQueue[dict[str, Any]] = DeferredQueue()
        self._replies: dict[str, Deferred[dict[str, Any]]] = {}
        self._ids = itertools.count(1)
        self.protocol: Any = None

    async def open(self) -> WebsocketClient:
        options = dict(self.options)
        deflate = options.pop("deflate", False)
        path = options.pop("path", "/")
        factory = WebSocketClientFactory(f"ws://{self.address}{path}", reactor=reactor, **options)
        factory.protocol = type("_Owned", (_Protocol,), {"owner": self})
        if deflate:
            factory.setProtocolOptions(
                perMessageCompressionOffers=[PerMessageDeflateOffer()],
                perMessageCompressionAccept=lambda offer: (
                    PerMessageDeflateResponseAccept(offer)
                    if isinstance(offer, PerMessageDeflateResponse)
                    else None
                ),
            )
        host, port = self.address.rsplit(":", 1)
        self.protocol = await clientFromString(reactor, f"tcp:{host}:{port}").connect(factory)
        await self.opened.addTimeout(TIMEOUT, reactor)
        return self

    def on_message(self, payload: bytes) -> None:
        message = json.loads(payload)
        if message["action"] == "reply":
            waiting = self._replies.pop(message["request_id"], None)
            if waiting is None:
                self.notices.put(message)
            else:
                waiting.callback(message)
        else:
            self.events.put(message)

    def send(self, message: Any) -> None:
        self.protocol.sendMessage(message if isinstance(message, bytes) else json.dumps(message).encode())

    async def request(self, action: str, data: Any = None, **more: Any) -> dict[str, Any]:
        request_id = f"r{next(self._ids)}"
        message = {"action": action, "request_id": request_id, **more} | (
            {} if data is None else {"data": data}
        )
        answer = self._replies[request_id] = Deferred()
        self.send(message)
        return await answer.addTimeout(TIMEOUT, reactor)

    async def event(self) -> dict[str, Any]:
        return await self.events.get().addTimeout(TIMEOUT, reactor)

    async def notice(self) -> dict[str, Any]:
        return await self.notices.get().addTimeout(TIMEOUT, reactor)

    async def close_code(self) -> int:
        code, _ = await self.closed.addTimeout(TIMEOUT, reactor)
        return code

    def drop(self) -> None:
        """Abort the TCP connection."""
        if self.protocol is not None and not self.closed.called:
            self.protocol.dropConnection(abort=True)

    async def close(self) -> None:
        if self.protocol is not None:
            await maybeDeferred(self.protocol.sendClose)
            await self.closed.addTimeout(TIMEOUT, reactor)
