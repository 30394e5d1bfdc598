"""One node among all: answers the queries of the others, and asks them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.interfaces import IBus, INodes
from kazoo_bridge.node.node_queries import NodeQueryClient, NodeQueryResponder
from kazoo_bridge.node.node_status import STATUS, StatusReader
from kazoo_bridge.node.tracer import TRACE, Tracer, TraceResponder
from kazoo_bridge.storage.database import Database
from kazoo_bridge.webhooks.service import WebhookService
from kazoo_bridge.websockets.service import WebsocketService
from kazoo_bridge.websockets.sessions.session import Session

#: The query for the connected clients, and how many a node names.
SOCKETS, MAX_SOCKETS = "sockets", 10_000


@implementer(INodes)
@frozen
class Cluster:
    """See `INodes`. `responder` answers for this node while it is started."""

    responder: NodeQueryResponder
    _client: NodeQueryClient
    _tracer: Tracer

    @classmethod
    def from_parts(
        cls,
        bus: IBus,
        name: str,
        database: Database,
        webhooks: WebhookService,
        websockets: WebsocketService,
        status: StatusReader,
    ) -> Cluster:
        """Build it for the node `name`."""
        traces = TraceResponder(webhooks.explainer, webhooks.event_handler.traces, websockets.fanout.traces)
        answers = {
            STATUS: lambda _body: status.read(),
            TRACE: traces.answer,
            SOCKETS: lambda _body: list_sockets(websockets.sessions),
        }
        client = NodeQueryClient(bus)
        return cls(NodeQueryResponder(bus, name, answers), client, Tracer(client, database.read))

    def statuses(self) -> Deferred[Sequence[Mapping[str, Any]]]:
        """See `INodes`."""
        return Deferred.fromCoroutine(read_statuses(self._client))

    def trace(self, wanted: str, accounts: Collection[str] | None) -> Deferred[Mapping[str, Any]]:
        """See `INodes`."""
        return Deferred.fromCoroutine(self._tracer.trace(wanted, accounts))


async def read_statuses(client: NodeQueryClient) -> list[Mapping[str, Any]]:
    """Return the status of each node that answers; raises `BusUnavailable`."""
    replies = await client.ask(STATUS, {})
    return [{"node": reply.node, **reply.data} for reply in replies if isinstance(reply.data, dict)]


async def list_sockets(sessions: Iterable[Session]) -> list[dict[str, Any]]:
    """Return the connected clients of this node with their accounts, at most `MAX_SOCKETS`."""
    return [
        {**session.to_document(), "account_id": session.account_id}
        for session in sessions
        if session.is_connected
    ][:MAX_SOCKETS]
