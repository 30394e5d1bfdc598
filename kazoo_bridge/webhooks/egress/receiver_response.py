"""Responses of receivers, and the bounds of what is read of them."""

from __future__ import annotations

from attrs import define
from twisted.web.http_headers import Headers

#: Names and values of headers, in the order in which they were received.
RawHeaders = list[tuple[bytes, bytes]]

#: Limit for status line and headers of a response together, 1xx responses before it included.
MAX_HEAD_BYTES = 32 * 1024

#: The part of a response's body that is kept. A longer body closes the connection.
MAX_BODY_BYTES = 64 * 1024

#: Limit for the body of a response as it is sent, with the sizes and extensions of chunks: these cost more
#: than the data.
MAX_FRAMED_BYTES = 128 * 1024

#: The statuses of responses that end a request.
VALID_STATUSES = range(200, 1000)

#: Headers of a response that are about the connection and the framing, not about the response.
_CONNECTION_HEADERS = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    }
)


class HeadTooLong(Exception):
    """Status line and headers of the response exceed `MAX_HEAD_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"the answer's headers are longer than {MAX_HEAD_BYTES // 1024} KiB")


class BodyTooLong(Exception):
    """The body of the response exceeds `MAX_FRAMED_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"the answer's body is longer than {MAX_FRAMED_BYTES // 1024} KiB as it was sent")


class MalformedResponse(Exception):
    """The receiver has sent something else than a response of HTTP/1.0 or 1.1."""

    def __init__(self) -> None:
        super().__init__("the answer is not HTTP/1.1")


@define(eq=False)
class ReceiverResponse:
    """A response. `headers` are as received, and `body` is its beginning, at most `MAX_BODY_BYTES`.

    `error` says why the body ended before its end; None if it is complete or longer than `MAX_BODY_BYTES`.
    `ends_at_close` is true if only the end of the connection was the end of the body.
    """

    status: int
    version: str
    phrase: bytes
    headers: RawHeaders
    body: bytes
    error: Exception | None = None
    ends_at_close: bool = False


def end_to_end_headers(headers: RawHeaders) -> Headers:
    """Return the headers of a response without those about connection and framing."""
    result = Headers()
    for name, value in headers:
        if name.lower() not in _CONNECTION_HEADERS:
            result.addRawHeader(name, value.strip())
    return result


def has_framing(headers: RawHeaders) -> bool:
    """Return whether the headers say where the body ends; the connection's end is the body's otherwise."""
    return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers)


def has_known_framing(headers: RawHeaders) -> bool:
    """Return whether the body's last transfer encoding, if it has one, is chunked."""
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    return not codings or b",".join(codings).rpartition(b",")[2].strip().lower() == b"chunked"
