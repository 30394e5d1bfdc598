"""Requests as they come off the wire."""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.server import Request

from kazoo_bridge.rest.http.request_body import MAX_BODY_BYTES


class LimitedRequest(Request):
    """A request that keeps no more of its body than will be read, and whose answer does not say what serves it.

    `tunnelled`: the method was carried inside a POST. `token_found_good` is to be called with the request's token once it was accepted.
    """

    tunnelled = False
    mark_token_valid: Callable[[str], None] = staticmethod(lambda _: None)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body; beyond the limit just enough to see that it was exceeded."""
        room = 0 if self.content is None else MAX_BODY_BYTES + 1 - self.content.tell()
        if room > 0:
            super().handleContentChunk(data[:room])

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of it is here. Bodies are JSON whatever they are said to be: Twisted would read some as forms, and fail for some types."""
        self.requestHeaders.removeHeader(b"Content-Type")
        super().requestReceived(command, path, version)

    def getRequestHostname(self) -> bytes:
        """One name for all: paths mean the same under every host name, and a malformed one harms nobody."""
        return b"localhost"

    def write(self, data: bytes) -> None:
        """Send a piece of the answer."""
        if not self.startedWriting:
            self.responseHeaders.removeHeader(b"Server")
        super().write(data)
