"""What clients can ask for: subscribe, unsubscribe, ping, as in KAZOO; resume and command beyond it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import (
    BindingRefused,
    BusUnavailable,
    CommandRefused,
    ICalls,
    StorageUnavailable,
    UnknownCall,
)
from kazoo_bridge.websockets.client_messages import (
    BadMessage,
    ClientMessage,
    decode,
    parse,
    request_id_in,
    request_id_of,
    requested_bindings,
)
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.frames import reply
from kazoo_bridge.websockets.sessions.authorization import AccessDenied, Authorizer
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import TOO_MANY, SessionRegistry
from kazoo_bridge.websockets.subscriptions.subscriptions import ALL_ACCOUNTS, Subscriptions

_log = Logger()

#: Messages beyond the limit, in a row, after which the connection is closed.
MAX_EXCESS_MESSAGES = 200

Data = Mapping[str, Any]


class ActionRejected(Exception):
    """The client's message is refused; `errors` says why, `more` goes beside that."""

    def __init__(self, errors: list[str], more: Data | None = None) -> None:
        super().__init__(*errors)
        self.errors = errors
        self.more = more or {}


@define(eq=False)
class Actions:
    """Carries out what clients ask for."""

    _clock: IReactorTime
    _sessions: SessionRegistry
    _authority: Authorizer
    _subscriptions: Subscriptions
    _resuming: SessionResumer
    _calls: ICalls | None
    _excess: dict[Connection, int] = field(init=False, factory=dict)

    def handle(self, connection: Connection, payload: bytes) -> Deferred[None]:
        """Act on one message, and answer it."""
        return Deferred.fromCoroutine(self._handle(connection, payload))

    def within_rate(self, connection: Connection, payload: bytes) -> bool:
        """Whether the client may send this message just now. It is told when not, and at last the connection is closed."""
        session = connection.session
        session.last_seen = self._clock.seconds()
        if session.bucket.take(session.last_seen):
            self._excess.pop(connection, None)
            return True
        over = self._excess[connection] = self._excess.get(connection, 0) + 1
        if over > MAX_EXCESS_MESSAGES:
            self._sessions.end(session, TOO_MANY, "too many messages")
        else:
            data = {"errors": [f"rate limiting threshold hit for {session.id}!"]}
            connection.reply(reply(request_id_in(payload), "error", data))
        return False

    def connection_lost(self, connection: Connection) -> None:
        """The connection is gone."""
        self._excess.pop(connection, None)

    async def _handle(self, connection: Connection, payload: bytes) -> None:
        request_id = request_id_of(None)
        try:
            value = decode(payload)
            request_id = request_id_of(value.get("request_id"))
            message = parse(value)
            await self._authenticate(connection, message)
            handler = self._handler(message.action)
            data = await handler(connection, message)
        except AccessDenied as error:
            self._reply_error(connection, request_id, [str(error)])
        except (BadMessage, BindingRefused) as error:
            self._reply_error(connection, request_id, [str(text) for text in error.args])
        except ActionRejected as error:
            self._reply_error(connection, request_id, error.errors, error.more)
        except (StorageUnavailable, BusUnavailable) as error:
            _log.warn("socket {session_id}: {reason}", session_id=connection.session.id, reason=error)
            self._reply_error(connection, request_id, ["not possible just now; try again later"])
        else:
            if data is not None:
                connection.reply(reply(request_id, "success", data))

    def _reply_error(
        self, connection: Connection, request_id: str, errors: list[str], more: Data | None = None
    ) -> None:
        connection.reply(reply(request_id, "error", {"errors": errors, **(more or {})}))

    async def _authenticate(self, connection: Connection, message: ClientMessage) -> None:
        session = connection.session
        fresh = session.principal is None
        await self._authority.authenticate(session, message.token)
        # A client that resumes may take the place of a connection of its own, whose end has not been noticed yet.
        if fresh and message.action != "resume":
            self._enforce_account_limit(session)
        if message.name is not None:
            session.name = message.name
        if message.metadata is not None:
            session.metadata = message.metadata

    def _enforce_account_limit(self, session: Session) -> None:
        if session.account_id is not None and self._sessions.too_many_of(session.account_id):
            self._sessions.end(session, TOO_MANY, "too many sockets", "the account has too many sockets")

    def _handler(self, action: str) -> Callable[[Connection, ClientMessage], Awaitable[Data | None]]:
        handlers = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
            "resume": self._resume,
            "command": self._command,
        }
        handler = handlers.get(action)
        if handler is None:
            raise BadMessage(f"unknown action {action[:64]}; known are {', '.join(handlers)}")
        return handler

    async def _ping(self, connection: Connection, message: ClientMessage) -> Data:
        return {"response": "pong"}

    async def _subscribe(self, connection: Connection, message: ClientMessage) -> Data:
        session = connection.session
        if not message.data:
            raise BadMessage("missing required keys in data object")
        bindings = requested_bindings(message.data)
        account_id = message.data.get("account_id")
        missing = [name for name, there in (("account_id", account_id), ("binding", bindings)) if not there]
        if missing:
            raise BadMessage(f"missing required keys : {', '.join(missing)}")
        if not isinstance(account_id, str):
            raise BadMessage("account_id must be a text")
        await self._authority.authorize(session, account_id)
        await self._subscriptions.subscribe(session, account_id, bindings)
        return {"subscribed": session.bindings}

    async def _unsubscribe(self, connection: Connection, message: ClientMessage) -> Data:
        session = connection.session
        account_id = message.data.get("account_id")
        if account_id is not None and not isinstance(account_id, str):
            raise BadMessage("account_id must be a text")
        bindings = requested_bindings(message.data)
        # As KAZOO has it, a binding that was not there has ended, too, if there could have been one.
        self._subscriptions.require_known(session, bindings)
        ended = self._subscriptions.unsubscribe(session, account_id, bindings or None)
        return {"unsubscribed": bindings or ended, "subscribed": session.bindings}

    async def _resume(self, connection: Connection, message: ClientMessage) -> None:
        self._resuming.resume(connection, message)
        self._enforce_account_limit(connection.session)

    async def _command(self, connection: Connection, message: ClientMessage) -> Data:
        data = dict(message.data)
        account_id, call_id, command = (
            data.pop("account_id", None),
            data.pop("call_id", None),
            data.pop("command", None),
        )
        if not isinstance(account_id, str) or not isinstance(call_id, str) or not isinstance(command, str):
            raise BadMessage("missing required keys : account_id, call_id and command, each a text")
        await self._authority.authorize(connection.session, account_id)
        if self._calls is None or account_id == ALL_ACCOUNTS:
            raise BadMessage(
                "commands are not available"
                + (" for all accounts at once" if account_id == ALL_ACCOUNTS else " here")
            )
        nested = data.get("data")
        arguments = (
            nested
            if isinstance(nested, dict)
            else {name: value for name, value in data.items() if name not in ("name", "metadata")}
        )
        try:
            if command == "metaflow":
                return {"response": await self._calls.flow(account_id, call_id, arguments)}
            return {"response": await self._calls.command(account_id, call_id, command, arguments)}
        except UnknownCall:
            raise BadMessage(f"the account has no live call {call_id[:128]}") from None
        except CommandRefused as error:
            raise ActionRejected(
                [text for text in str(error).split("; ") if text], {"fields": error.errors}
            ) from None
