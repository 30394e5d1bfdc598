"""Lists and closes the sockets of all nodes, over the bus.

A query is published in the zone of its sender. Nodes of other zones receive it there, and answer there.

Queries and replies are KAZOO's ``get_req`` and ``get_resp`` of the category ``websockets``
(`kapi_websockets`), so that KAZOO's own REST lists these sockets too. ``close_req`` and ``close_resp`` are
additions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, IDirectory, InvalidMessage, Queue, Topic
from kazoo_bridge.kazoo import Event, build_envelope, is_account_id
from kazoo_bridge.websockets.server.frames import CloseCode
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import SessionRegistry

_log = Logger()

_EXCHANGE = "sysconf"
_GET_KEY, _CLOSE_KEY = "websockets.get", "websockets.close"

#: Seconds to wait for the replies of all nodes.
REPLY_TIMEOUT = 0.5

Document = Mapping[str, Any]


@frozen
class SocketQuery:
    """A query or command about sockets.

    The accounts and the socket are None where the message does not name them.
    """

    name: str
    message_id: str | None
    account_id: str | None
    requesting_account_id: str | None
    socket_id: str | None

    @classmethod
    def parse(cls, event: Event) -> SocketQuery | None:
        """Return the query in a message; None if it wants no reply. Raises `InvalidMessage`."""
        if event.server_id is None:
            if event.body.get("Server-ID") in (None, ""):
                return None
            raise InvalidMessage("Server-ID is no name of a queue")
        return cls(
            event.name,
            event.message_id,
            _text(event.body, "Account-ID"),
            _text(event.body, "Auth-Account-ID"),
            _text(event.body, "Socket-ID"),
        )


def _text(body: Mapping[str, Any], key: str) -> str | None:
    """Return the text of a key, or None without it. Raises `InvalidMessage` for a value of another type."""
    value = body.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InvalidMessage(f"{key} has the type {type(value).__name__}, expected text")


@define(eq=False)
class SocketQueryResponder:
    """Answers queries for the sockets of this node, which is called `node` in the replies."""

    _bus: IBus
    _node: str
    _sessions: SessionRegistry
    _directory: IDirectory
    _consumer: IConsumer | None = field(init=False, default=None)

    def start(self) -> None:
        """Start to consume queries."""
        topics = frozenset({Topic(_EXCHANGE, _GET_KEY), Topic(_EXCHANGE, _CLOSE_KEY)})
        queue = Queue(topics=topics, acknowledge=False, federated=True)
        self._consumer = self._bus.consume(queue, lambda event: Deferred.fromCoroutine(self._reply(event)))

    async def stop(self) -> None:
        """Stop to consume queries."""
        if self._consumer is not None:
            await self._consumer.cancel()

    async def _reply(self, event: Event) -> None:
        query = SocketQuery.parse(event)
        if query is None:
            return
        name = "get_resp"
        data: Sequence[Document] | Document | None = None
        if query.name == "get_req" and query.socket_id is None:
            data = self._list(query)
        elif query.name == "get_req" and query.socket_id is not None:
            session = await self._find(query.account_id, query.socket_id)
            data = [] if session is None else session.to_document()
        elif query.name == "close_req" and query.socket_id is not None:
            name, data = "close_resp", await self._close(query.account_id, query.socket_id)
        if data is None:
            return
        body = {
            **build_envelope("websockets", name),
            "Msg-ID": query.message_id,
            "Node": self._node,
            "Data": data,
        }
        try:
            await self._bus.reply(event, body)
        except BusUnavailable as error:
            _log.warn("socket query not answered name={name} reason={reason}", name=query.name, reason=error)

    def _list(self, query: SocketQuery) -> list[Document]:
        """Return the connected sockets of the account, and like KAZOO those of the requesting account."""
        accounts = {query.account_id, query.requesting_account_id} - {None}
        return [
            session.to_document()
            for session in self._sessions
            if session.is_connected and session.account_id in accounts
        ]

    async def _find(self, account_id: str | None, socket_id: str) -> Session | None:
        """Return the socket if it belongs to the account or one below it.

        A query without an account may see every socket, like everything on the bus. A socket that has not
        authenticated belongs to no account.
        """
        session = self._sessions.find(socket_id)
        if session is None or account_id in (None, session.account_id):
            return session
        if not is_account_id(account_id):
            return None
        return session if session.account_id in await self._directory.descendants(account_id) else None

    async def _close(self, account_id: str | None, socket_id: str) -> Document | None:
        """Close the socket; returns it as it was, None if it is not found or the query has no account."""
        session = await self._find(account_id, socket_id)
        if session is None or not is_account_id(account_id):
            return None
        document = session.to_document()
        notice = "the socket is closed by an operator"
        self._sessions.end(session, CloseCode.CLOSED_BY_OPERATOR, "closed by an operator", notice)
        return document


@define(eq=False)
class SocketQueryClient:
    """Queries the sockets of all nodes, this one included."""

    _bus: IBus

    async def list(self, account_id: str, requester_id: str | None = None) -> list[Document]:
        """Return the account's connected sockets and those of `requester_id`, the newest first.

        Raises `BusUnavailable`.
        """
        arguments = {"Account-ID": account_id}
        if requester_id is not None:
            arguments["Auth-Account-ID"] = requester_id
        replies = await self._query(_GET_KEY, "get_req", arguments)
        by_id = {
            str(document.get("websocket_session_id")): document
            for reply in replies
            for document in _documents(reply)
        }
        return sorted(by_id.values(), key=lambda document: str(document.get("timestamp")), reverse=True)

    async def get(self, account_id: str, socket_id: str) -> Document | None:
        """Return a socket of the account or an account below it; None if there is none.

        Raises `BusUnavailable`.
        """
        return await self._query_socket(_GET_KEY, "get_req", account_id, socket_id)

    async def close(self, account_id: str, socket_id: str) -> Document | None:
        """Close a socket of the account or an account below it; returns it as it was, None if there is none.

        Raises `BusUnavailable`.
        """
        return await self._query_socket(_CLOSE_KEY, "close_req", account_id, socket_id)

    async def _query_socket(self, key: str, name: str, account_id: str, socket_id: str) -> Document | None:
        arguments = {"Account-ID": account_id, "Socket-ID": socket_id}
        replies = await self._query(key, name, arguments, done_when=_has_document)
        return next((document for reply in replies for document in _documents(reply)), None)

    async def _query(
        self,
        key: str,
        name: str,
        arguments: Mapping[str, Any],
        done_when: Callable[[Sequence[Event]], bool] | None = None,
    ) -> Sequence[Event]:
        body = {"Event-Category": "websockets", "Event-Name": name, **arguments}
        return await self._bus.request(_EXCHANGE, key, body, timeout=REPLY_TIMEOUT, done_when=done_when)


def _documents(reply: Event) -> Sequence[Document]:
    data = reply.body.get("Data")
    items = data if isinstance(data, list) else [data]
    return [item for item in items if isinstance(item, Mapping) and item]


def _has_document(replies: Sequence[Event]) -> bool:
    return any(_documents(reply) for reply in replies)
