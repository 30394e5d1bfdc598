"""One node among all: answers the queries of the others, and asks them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.event_traces import EventTraces
from kazoo_bridge.interfaces import IBus, INodes
from kazoo_bridge.node.node_queries import NodeQueryClient, NodeQueryResponder
from kazoo_bridge.node.status import STATUS, StatusReader
from kazoo_bridge.node.tracer import TRACE, Tracer, TraceResponder
from kazoo_bridge.storage.database import Database
from kazoo_bridge.webhooks.service import WebhookService


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
        sockets: EventTraces,
        status: StatusReader,
    ) -> Cluster:
        """Build it for the node `name`. `sockets` has the events that websockets received."""
        traces = TraceResponder(webhooks.explainer, webhooks.event_handler.traces, sockets)
        answers = {STATUS: lambda _body: status.read(), TRACE: traces.answer}
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
