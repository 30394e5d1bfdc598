"""Queries that every node answers, over the bus.

A query is published on the exchange ``sysconf`` with the key ``bridge.QUERY``, and the event name
``QUERY_req``; the reply has the name ``QUERY_resp``, the node's name in ``Node`` and what it says in
``Data``. Nodes of all zones receive it. These messages are additions to KAZOO's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, InvalidMessage, Queue, Topic
from kazoo_bridge.kazoo import Event, build_envelope

_log = Logger()

_EXCHANGE, _CATEGORY = "sysconf", "bridge"

#: Seconds to wait for the replies of all nodes, where their number is not known.
REPLY_TIMEOUT = 0.5

#: The query that says nothing but that the node is there.
PING = "ping"

#: Answers a query: receives its body and returns a JSON value. It raises `InvalidMessage` for a wrong one.
Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]


@frozen
class NodeReply:
    """What one node says. `data` comes from the bus and is not checked."""

    node: str
    data: Any


@define(eq=False)
class NodeQueryResponder:
    """Answers queries as the node `node`. `answers` has a function for each query but `PING`."""

    _bus: IBus
    _node: str
    _answers: Mapping[str, Answer]
    _consumer: IConsumer | None = field(init=False, default=None)

    def start(self) -> None:
        """Start to consume queries."""
        topics = frozenset(Topic(_EXCHANGE, f"{_CATEGORY}.{name}") for name in (PING, *self._answers))
        queue = Queue(topics=topics, acknowledge=False, federated=True)
        self._consumer = self._bus.consume(queue, lambda event: Deferred.fromCoroutine(self._reply(event)))

    async def stop(self) -> None:
        """Stop to consume queries."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.cancel()

    async def _reply(self, event: Event) -> None:
        name = event.name.removesuffix("_req")
        if event.server_id is None:
            raise InvalidMessage("Server-ID is missing, or is no name of a queue")
        if not event.name.endswith("_req") or (name not in self._answers and name != PING):
            return
        data = None if name == PING else await self._answers[name](event.body)
        body = {
            **build_envelope(_CATEGORY, f"{name}_resp"),
            "Msg-ID": event.message_id,
            "Node": self._node,
            "Data": data,
        }
        try:
            await self._bus.reply(event, body)
        except BusUnavailable as error:
            _log.warn("query not answered name={name} reason={reason}", name=name, reason=error)


@frozen
class NodeQueryClient:
    """Sends queries to all nodes on a bus."""

    _bus: IBus

    async def ask(
        self,
        name: str,
        arguments: Mapping[str, Any],
        timeout: float = REPLY_TIMEOUT,
        expected: Collection[str] = (),
    ) -> list[NodeReply]:
        """Return the replies that come within `timeout` seconds, by name of the node.

        Once the nodes with the names `expected` have replied, no others are waited for. Raises
        `BusUnavailable`.
        """
        body = {"Event-Category": _CATEGORY, "Event-Name": f"{name}_req", **arguments}
        waited_for = frozenset(expected)

        def is_done(replies: Sequence[Event]) -> bool:
            return waited_for <= {_node_of(reply) for reply in replies}

        replies = await self._bus.request(
            _EXCHANGE,
            f"{_CATEGORY}.{name}",
            body,
            timeout=timeout,
            done_when=is_done if waited_for else None,
        )
        found = [NodeReply(_node_of(reply), reply.body.get("Data")) for reply in replies]
        return sorted(found, key=lambda reply: reply.node)

    async def names(self) -> frozenset[str]:
        """Return the names of the nodes that answer within `REPLY_TIMEOUT`. Raises `BusUnavailable`."""
        return frozenset(reply.node for reply in await self.ask(PING, {}))


def _node_of(reply: Event) -> str:
    return str(reply.body.get("Node", ""))
