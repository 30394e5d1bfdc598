"""Websockets as REST sees them: bindings, the sockets of all nodes, and event streams over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Attribute, Interface

from kazoo_bridge.interfaces.categories import BindingRefused

if TYPE_CHECKING:
    from kazoo_bridge.interfaces.directory import Principal

#: Maximum characters of a binding: those of a routing key (255 bytes), escapes and a prefix.
MAX_BINDING_LENGTH = 512


class BindingUnavailable(BindingRefused):
    """The broker refused a binding or did not answer in time; the text names the binding and the reason."""


class HandshakeRejected(Exception):
    """A client may not connect; `status` is the HTTP status of the answer and `reason` its text."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@frozen
class StreamRequest:
    """A client's request for a stream of events.

    `peer` is the client's address and port. `headers` are those of the HTTP request, with lower-case names.
    `last_event_id` is the id of the last event that the client has received, None on a first connection.
    """

    account_id: str
    bindings: Sequence[str]
    token: str = field(repr=False)
    principal: Principal
    peer: tuple[str, int]
    headers: Mapping[str, str] = field(repr=False)
    last_event_id: str | None = None


class IStreamTransport(Interface):
    """The HTTP response to which a stream writes."""

    def write(data: bytes) -> None:
        """Send bytes to the client."""

    def abort() -> None:
        """End the response."""


class IEventStream(Interface):
    """An open stream of events."""

    producer = Attribute("IPushProducer: to be registered with the HTTP response")

    def keep_alive() -> None:
        """Send a comment, which keeps proxies and clients from closing an idle connection."""

    def closed() -> None:
        """Release the stream. To be called once, when the response has ended."""


class IWebsockets(Interface):
    """The sockets of all nodes. The caller has checked that the client may act for the account."""

    def bindings() -> Mapping[str, Sequence[str]]:
        """Return the bindings that clients can subscribe to, by category."""

    def sockets(account_id: str, requester_id: str | None = None) -> Awaitable[Sequence[Mapping[str, Any]]]:
        """Return the account's connected sockets in their public form, newest first.

        Those of the account `requester_id` are added, like in KAZOO. Fails with `BusUnavailable`.
        """

    def socket(account_id: str, socket_id: str) -> Awaitable[Mapping[str, Any] | None]:
        """Return one socket of the account or of an account below it; None if none has that id.

        Fails with `BusUnavailable`.
        """

    def close_socket(account_id: str, socket_id: str) -> Awaitable[Mapping[str, Any] | None]:
        """Close such a socket; returns it as it was, None if none has that id.

        Fails with `BusUnavailable`.
        """

    def open_stream(transport: IStreamTransport, request: StreamRequest) -> Awaitable[IEventStream]:
        """Open a stream of the request's bindings, after the client's last event if that is still known.

        Fails with `BindingRefused`, `BindingUnavailable` or `HandshakeRejected`.
        """
