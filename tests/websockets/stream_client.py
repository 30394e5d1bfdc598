"""A client of server-sent events, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers

from tests.websockets.harness import RESELLER, Harness


class StreamClient:
    """A client of server-sent events. `ended` fires with the end of the response."""

    def __init__(self) -> None:
        self.events: DeferredQueue[tuple[str, Any]] = DeferredQueue()
        self.response: Any = None
        self.ended: Deferred[None] = Deferred()
        self._data = b""

    async def open(
        self, harness: Harness, query: str = "?binding=call.*.*", account: str = RESELLER, **headers: str
    ) -> StreamClient:
        url = f"http://{harness.node.http_host}/v2/accounts/{RESELLER}/events{query}"
        sent = Headers({"X-Auth-Token": [harness.tokens[account]]})
        for name, value in headers.items():
            sent.setRawHeaders(name.replace("_", "-"), [value])
        self.response = await treq.get(url, headers=sent, persistent=False, unbuffered=True)
        if self.response.code == 200:
            self.ended = treq.collect(self.response, self._on_data)
        return self

    def _on_data(self, data: bytes) -> None:
        *messages, self._data = (self._data + data).split(b"\n\n")
        for message in messages:
            lines = message.decode().split("\n")
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "data" in fields:
                self.events.put((fields.get("id", ""), json.loads(fields["data"])))

    async def event(self) -> tuple[str, Any]:
        """The id and data of the next message."""
        return await self.events.get().addTimeout(5, reactor)

    async def call_ids(self, number: int) -> list[str]:
        return [(await self.event())[1]["data"]["call_id"] for _ in range(number)]

    def lose(self) -> None:
        """Lose the connection."""
        self.ended.addErrback(lambda failure: failure.trap(ResponseFailed))
        self.response.original._transport.loseConnection()
