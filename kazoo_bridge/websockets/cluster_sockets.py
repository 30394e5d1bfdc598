"""The sockets of all nodes, asked for over the bus with KAZOO's own messages; closing one, with a message of ours beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, IDirectory, Queue, Topic
from kazoo_bridge.kazoo import TARGETED, Event, build_envelope, is_account_id
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import CLOSED_BY_OPERATOR, SessionRegistry

_log = Logger()

_EXCHANGE = "sysconf"
_GET, _CLOSE = "websockets.get", "websockets.close"

#: Seconds for which other nodes' answers are waited for.
_TIMEOUT = 0.5

Document = Mapping[str, Any]


@define(eq=False)
class SocketQueryResponder:
    """Answers other nodes, and KAZOO's own REST, for the sockets of this node."""

    _bus: IBus
    _node: str
    _sessions: SessionRegistry
    _directory: IDirectory
    _consumer: IConsumer | None = field(init=False, default=None)

    def start(self) -> None:
        """Begin to listen."""
        topics = frozenset({Topic(_EXCHANGE, _GET), Topic(_EXCHANGE, _CLOSE)})
        self._consumer = self._bus.consume(Queue(topics=topics, acknowledge=False), self._on_query)

    async def stop(self) -> None:
        """Listen no more."""
        if self._consumer is not None:
            await self._consumer.cancel()

    def _on_query(self, event: Event) -> Deferred[None]:
        return Deferred.fromCoroutine(self._reply(event))

    async def _reply(self, event: Event) -> None:
        server_id = event.body.get("Server-ID")
        if not isinstance(server_id, str) or not server_id:
            return
        socket_id = event.body.get("Socket-ID")
        name = "get_resp"
        data: Sequence[Document] | Document | None = None
        if event.name == "get_req" and socket_id is None:
            data = self._list(event.body)
        elif event.name == "get_req" and isinstance(socket_id, str):
            session = await self._found(event.body, socket_id)
            data = [] if session is None else session.to_document()
        elif event.name == "close_req" and isinstance(socket_id, str):
            name, data = "close_resp", await self._closed(event.body, socket_id)
        if data is None:
            return
        body = {
            **build_envelope("websockets", name),
            "Msg-ID": event.body.get("Msg-ID"),
            "Node": self._node,
            "Data": data,
        }
        try:
            await self._bus.publish(TARGETED, server_id, body)
        except BusUnavailable as error:
            _log.warn("a question for sockets is not answered: {reason}", reason=error)

    def _list(self, body: Mapping[str, Any]) -> list[Document]:
        """The connected sockets of the account, and as KAZOO has it those of the one that asks."""
        accounts = {body.get("Account-ID"), body.get("Auth-Account-ID")} - {None}
        return [
            session.to_document()
            for session in self._sessions
            if session.is_connected and session.account_id in accounts
        ]

    async def _found(self, body: Mapping[str, Any], socket_id: str) -> Session | None:
        """The socket, if it is the account's or one below it; who asks for no account is trusted, for so is the bus.

        A socket that has not authenticated is nobody's.
        """
        session = self._sessions.find(socket_id)
        account_id = body.get("Account-ID")
        if session is None or account_id in (None, session.account_id):
            return session
        below = await self._directory.descendants(account_id) if is_account_id(account_id) else frozenset()
        return session if session.account_id in below else None

    async def _closed(self, body: Mapping[str, Any], socket_id: str) -> Document | None:
        session = await self._found(body, socket_id)
        if session is None or not is_account_id(body.get("Account-ID")):
            return None
        document = session.to_document()
        self._sessions.end(
            session, CLOSED_BY_OPERATOR, "closed by an operator", "the socket is closed by an operator"
        )
        return document


@define(eq=False)
class SocketQueryClient:
    """Asks all nodes, this one among them."""

    _bus: IBus

    async def list(self, account_id: str) -> list[Document]:
        """The account's sockets, the newest first; fails with `BusUnavailable`."""
        answers = await self._query(_GET, "get_req", {"Account-ID": account_id})
        found = {
            str(one.get("websocket_session_id")): one for answer in answers for one in _documents(answer)
        }
        return sorted(found.values(), key=lambda one: str(one.get("timestamp")), reverse=True)

    async def one(self, account_id: str, socket_id: str) -> Document | None:
        """One socket of the account or of one below it; fails with `BusUnavailable`."""
        return _first(
            await self._query(_GET, "get_req", {"Account-ID": account_id, "Socket-ID": socket_id}, first=True)
        )

    async def close(self, account_id: str, socket_id: str) -> Document | None:
        """Close one such socket: what it was, or None when there is none; fails with `BusUnavailable`."""
        return _first(
            await self._query(
                _CLOSE, "close_req", {"Account-ID": account_id, "Socket-ID": socket_id}, first=True
            )
        )

    async def _query(
        self, key: str, name: str, more: Mapping[str, Any], *, first: bool = False
    ) -> Sequence[Event]:
        body = {"Event-Category": "websockets", "Event-Name": name, **more}
        return await self._bus.request(
            _EXCHANGE, key, body, timeout=_TIMEOUT, done_when=_any_found if first else None
        )


def _documents(answer: Event) -> list[Document]:
    data = answer.body.get("Data")
    found = data if isinstance(data, list) else [data]
    return [one for one in found if isinstance(one, Mapping) and one]


def _any_found(answers: Sequence[Event]) -> bool:
    return any(_documents(answer) for answer in answers)


def _first(answers: Sequence[Event]) -> Document | None:
    return next((one for answer in answers for one in _documents(answer)), None)
