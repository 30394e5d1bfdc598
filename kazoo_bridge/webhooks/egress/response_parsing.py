"""Collects a response from what the parser of HTTP reports.

The head of a response is read as leniently as receivers need (line feeds alone, folded and odd headers), as
only its status decides. Its framing is read strictly: contradictory lengths are a malformed response.
"""

from __future__ import annotations

from typing import Any

from httptools import HttpResponseParser

from kazoo_bridge.webhooks.egress.receiver_response import (
    MAX_BODY_BYTES,
    MalformedResponse,
    RawHeaders,
    ReceiverResponse,
)

_VERSIONS = frozenset({"1.0", "1.1"})

#: What heads may look like; see the module's docstring. `lenient_keep_alive` is about 1xx responses only: the
#: connection itself heeds ``Connection: close``.
_LENIENCIES = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_keep_alive": True,
}


class _SurplusBytes(Exception):
    """Bytes follow the response."""


class ResponseReader:
    """The part of a connection that the parser calls: it collects one response after the other.

    A base class rather than a part, as each call costs time for every response.
    """

    def __init__(self) -> None:
        self._parser: Any = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENCIES)
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._version = ""
        self._phrase = b""
        self._headers: RawHeaders = []
        self._body: list[bytes] = []
        self._body_size = 0
        self._has_head = self._is_complete = self._keeps_alive = False
        self._head_bytes = self._framed_bytes = 0
        self._tail = b""

    def _has_surplus(self, data: bytes | memoryview) -> bool:
        """Return whether line breaks follow the response, which ends in `data`. The parser skips them."""
        end = self._tail + bytes(data)
        if self._body and end.endswith(self._body[-1]):
            return False
        if end.endswith(b"\n\r\n"):
            return end.endswith(b"\n\r\n\r\n")
        return not end.endswith(b"\n\n") or end.endswith(b"\n\n\n")

    def _make_response(self, error: Exception | None = None) -> ReceiverResponse:
        body = self._body
        return ReceiverResponse(
            self._status,
            self._version,
            self._phrase,
            self._headers,
            body[0] if len(body) == 1 else b"".join(body),
            error,
        )

    # -- called by the parser, while it is fed

    def on_message_begin(self) -> None:
        """A response begins."""
        if self._is_complete:
            raise _SurplusBytes

    def on_status(self, phrase: bytes) -> None:
        """A part of the reason phrase."""
        self._phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        if not self._has_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete; that of a 1xx response is dropped by `on_message_complete`."""
        parser = self._parser
        status = parser.get_status_code()
        self._version = parser.get_http_version()
        if status == 101 or self._version not in _VERSIONS:
            raise MalformedResponse
        if not 100 <= status < 200:
            self._status = status
            self._has_head = True

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        room = MAX_BODY_BYTES - self._body_size
        if room > 0:
            self._body.append(data if len(data) <= room else data[:room])
            self._body_size += len(data)

    def on_message_complete(self) -> None:
        """The response is complete."""
        if self._has_head:
            self._is_complete = True
            self._keeps_alive = self._parser.should_keep_alive()
        else:
            self._phrase = b""
            self._headers.clear()
