"""Requests as they are written to a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.web.http_headers import Headers

from kazoo_bridge import __version__
from kazoo_bridge.webhooks.egress.agent import encode_request
from kazoo_bridge.webhooks.egress.destination import Origin, parse_destination
from kazoo_bridge.webhooks.http.http_request import HookRequest

#: Sent unless the hook sets another ``User-Agent``.
USER_AGENT = f"kazoo_bridge/{__version__}"


@define(eq=False)
class WireRequest:
    """A request that is ready to be written to a connection to `origin`.

    `data` is its head and body together and may contain secrets, so it stays out of the repr. `method`,
    `timeout` and `success_statuses` are those of `HookRequest`; `source` makes the `HookRequest`, for
    redirects and records, and is called only when it is needed.
    """

    origin: Origin
    method: str
    data: bytes = field(repr=False)
    timeout: float | None
    success_statuses: frozenset[int]
    source: Callable[[], HookRequest] = field(repr=False)


def wire_request(request: HookRequest, *, persistent: bool = True) -> WireRequest:
    """Encode `request` like `Sender.send` puts it on the wire.

    `persistent` is that of the sender: without it the receiver is asked to close the connection. Raises
    `BadDestination`, and ValueError for what cannot be sent as HTTP.
    """
    destination = parse_destination(request.url)
    data = encode_request(
        request.method.encode("ascii").upper(),
        destination,
        encode_headers(request.headers),
        request.body,
        persistent=persistent,
    )
    return WireRequest(
        destination.origin, request.method, data, request.timeout, request.success_statuses, lambda: request
    )


def encode_headers(headers: Mapping[str, str]) -> Headers:
    """Return a request's headers as Twisted encodes them, line breaks in values as spaces."""
    encoded = Headers({name: [value] for name, value in headers.items()})
    if not encoded.hasHeader("User-Agent"):
        encoded.setRawHeaders("User-Agent", [USER_AGENT])
    return encoded
