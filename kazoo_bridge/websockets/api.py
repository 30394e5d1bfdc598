"""The operations on websockets that REST offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from zope.interface import implementer

from kazoo_bridge.interfaces import IEventStream, IStreamTransport, IWebsockets, StreamRequest
from kazoo_bridge.websockets.cluster_sockets import SocketQueryClient
from kazoo_bridge.websockets.server_sent_events import EventStreams
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue


@implementer(IWebsockets)
@frozen
class WebsocketApi:
    """Passes each operation of `IWebsockets` to the part of websockets that performs it."""

    _catalogue: BindingCatalogue
    _queries: SocketQueryClient
    _streams: EventStreams

    def bindings(self) -> Mapping[str, Sequence[str]]:
        """See `IWebsockets`."""
        return self._catalogue.by_category()

    async def sockets(self, account_id: str, requester_id: str | None = None) -> Sequence[Mapping[str, Any]]:
        """See `IWebsockets`."""
        return await self._queries.list(account_id, requester_id)

    async def socket(self, account_id: str, socket_id: str) -> Mapping[str, Any] | None:
        """See `IWebsockets`."""
        return await self._queries.get(account_id, socket_id)

    async def close_socket(self, account_id: str, socket_id: str) -> Mapping[str, Any] | None:
        """See `IWebsockets`."""
        return await self._queries.close(account_id, socket_id)

    async def open_stream(self, transport: IStreamTransport, request: StreamRequest) -> IEventStream:
        """See `IWebsockets`."""
        return await self._streams.open(transport, request)
