"""Carries out clients' messages: subscribe, unsubscribe and ping, like KAZOO; resume, command and pivot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import (
    AnswerRefused,
    BindingRefused,
    BusUnavailable,
    ICalls,
    IPivots,
    PivotAnswer,
    StorageUnavailable,
    UnknownPivotRequest,
)
from kazoo_bridge.websockets.client_messages import (
    BadMessage,
    ClientMessage,
    UnknownMessage,
    decode,
    parse,
    parse_bindings,
    peek_request_id,
    to_request_id,
)
from kazoo_bridge.websockets.commands import ActionRejected, CommandSender
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.frames import CloseCode, encode_reply
from kazoo_bridge.websockets.sessions.authorization import AccessDenied, Authorizer, InvalidToken
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import SessionRegistry
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions
from kazoo_bridge.websockets.subscriptions.work_pacer import WorkPacer

_log = Logger()

#: Consecutive messages beyond the rate limit after which the connection is closed.
MAX_EXCESS_MESSAGES = 200

#: Messages of all clients in one interval of the `WorkPacer`; one takes a tenth of a millisecond.
MESSAGES_PER_INTERVAL = 150

Data = Mapping[str, Any]
Action = Callable[[Connection, ClientMessage], Awaitable[Data | None]]


@define(eq=False)
class Actions:
    """Carries out clients' messages, and replies.

    `calls` and `pivots` are None where commands and answers to pivot requests are not available.
    """

    _clock: IReactorTime
    _sessions: SessionRegistry
    _authorizer: Authorizer
    _subscriptions: Subscriptions
    _resumer: SessionResumer
    _calls: ICalls | None
    _pivots: IPivots | None = None
    #: How often clients have sent a token that is not valid.
    invalid_tokens: int = field(init=False, default=0)
    _commands: CommandSender = field(init=False)
    _pacer: WorkPacer = field(init=False)

    @_commands.default
    def _command_sender(self) -> CommandSender:
        return CommandSender(self._authorizer, self._calls)

    @_pacer.default
    def _idle_pacer(self) -> WorkPacer:
        return WorkPacer(self._clock, MESSAGES_PER_INTERVAL, few=0)

    def stop(self) -> None:
        """Let no message wait any more, and leave no delayed call."""
        self._pacer.finish()

    def within_rate(self, connection: Connection, payload: bytes | None) -> bool:
        """Count a message against the rate limits; returns whether it may be handled.

        `payload` None: not a message, but a frame that is none, such as a ping. A message beyond the limits
        is answered with an error; `MAX_EXCESS_MESSAGES` messages and frames in a row close the connection.
        """
        session, now = connection.session, self._clock.seconds()
        if payload is not None:
            session.last_seen = now
        excess = connection.charge(now, len(payload or b""))
        if not excess:
            return True
        if excess > MAX_EXCESS_MESSAGES:
            self._sessions.end(session, CloseCode.TOO_MANY, "too many messages")
        elif payload is not None:
            errors = [f"rate limiting threshold hit for {session.id}!"]
            connection.reply(encode_reply(peek_request_id(payload), "error", {"errors": errors}))
        return False

    async def handle(self, connection: Connection, payload: bytes) -> None:
        """Carry out one message, and reply to it."""
        session = connection.session
        await self._pacer.take(session.account_id or session.source, 1)
        if connection.send_buffer.closed:
            return  # the client has gone meanwhile
        request_id = to_request_id(None)
        try:
            value = decode(payload)
            request_id = to_request_id(value.get("request_id"))
            message = parse(value)
            await self._authenticate(connection, message)
            if connection.session.ended:
                return  # the client has gone meanwhile, or its account has too many sockets
            data = await self._action(message.action)(connection, message)
        except AccessDenied as error:
            self._reply_error(connection, request_id, [str(error)])
        except UnknownMessage as error:
            self._reply_unknown(connection, request_id, str(error))
        except (BadMessage, BindingRefused) as error:
            self._reply_error(connection, request_id, [str(text) for text in error.args])
        except ActionRejected as error:
            self._reply_error(connection, request_id, error.errors, error.more)
        except (StorageUnavailable, BusUnavailable) as error:
            session_id = connection.session.id
            _log.warn(
                "message refused session={session_id} reason={reason}", session_id=session_id, reason=error
            )
            self._reply_error(connection, request_id, ["not possible just now; try again later"])
        else:
            if data is not None:
                connection.reply(encode_reply(request_id, "success", data))

    def _reply_error(
        self, connection: Connection, request_id: str, errors: list[str], more: Data | None = None
    ) -> None:
        connection.reply(encode_reply(request_id, "error", {"errors": errors, **(more or {})}))

    def _reply_unknown(self, connection: Connection, request_id: str, reason: str) -> None:
        """Reply without an error to a client that has authenticated, like KAZOO: old keep-alives see none."""
        if connection.session.principal is None:
            self._reply_error(connection, request_id, [reason])
        else:
            connection.reply(encode_reply(request_id, "success", {"ignored": reason}))

    async def _authenticate(self, connection: Connection, message: ClientMessage) -> None:
        session = connection.session
        was_anonymous = session.principal is None
        if was_anonymous and not connection.may_authenticate():
            raise AccessDenied(f"rate limiting threshold hit for {session.id}!")
        try:
            await self._authorizer.authenticate(session, message.token)
        except InvalidToken:
            self.invalid_tokens += 1
            connection.authentication_failed()
            raise
        if was_anonymous:
            connection.authenticated()
        # A client that resumes may replace its own earlier connection, whose loss is not noticed yet.
        if was_anonymous and message.action != "resume":
            self._enforce_account_limit(session)
        if message.name is not None:
            session.name = message.name
        if message.metadata is not None:
            session.metadata = message.metadata

    def _enforce_account_limit(self, session: Session) -> None:
        if session.account_id is not None and self._sessions.exceeds_account_limit(session.account_id):
            notice = "the account has too many sockets"
            self._sessions.end(session, CloseCode.TOO_MANY, "too many sockets", notice)

    def _action(self, name: str) -> Action:
        actions: Mapping[str, Action] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
            "resume": self._resume,
            "command": self._commands.send,
            "pivot": self._pivot,
            "noop": self._noop,
        }
        action = actions.get(name)
        if action is None:
            raise UnknownMessage(f"unknown action {name[:64]}; known are {', '.join(actions)}")
        return action

    async def _ping(self, connection: Connection, message: ClientMessage) -> Data:
        return {"response": "pong"}

    async def _noop(self, connection: Connection, message: ClientMessage) -> Data:
        return {"response": "noop"}

    async def _subscribe(self, connection: Connection, message: ClientMessage) -> Data:
        session = connection.session
        if not message.data:
            raise BadMessage("missing required keys in data object")
        bindings = parse_bindings(message.data)
        account_id = message.data.get("account_id")
        required = {"account_id": account_id, "binding": bindings}
        missing = [name for name, value in required.items() if not value]
        if missing:
            raise BadMessage(f"missing required keys : {', '.join(missing)}")
        if not isinstance(account_id, str):
            raise BadMessage("account_id must be a text")
        await self._authorizer.authorize(session, account_id)
        await self._subscriptions.subscribe(session, account_id, bindings)
        try:
            await self._authorizer.authorize(session, account_id)
        except AccessDenied:  # the right has ended while the broker was asked
            self._subscriptions.unsubscribe(session, account_id, None)
            raise
        return {"subscribed": session.bindings}

    async def _unsubscribe(self, connection: Connection, message: ClientMessage) -> Data:
        session = connection.session
        account_id = message.data.get("account_id")
        if account_id is not None and not isinstance(account_id, str):
            raise BadMessage("account_id must be a text")
        bindings = parse_bindings(message.data)
        # Like KAZOO: a possible binding that the session does not have counts as unsubscribed.
        ended = await self._subscriptions.request_unsubscribe(session, account_id, bindings)
        return {"unsubscribed": ended, "subscribed": session.bindings}

    async def _resume(self, connection: Connection, message: ClientMessage) -> None:
        self._resumer.resume(connection, message)
        self._enforce_account_limit(connection.session)

    async def _pivot(self, connection: Connection, message: ClientMessage) -> Data:
        session, data = connection.session, message.data
        account_id, pivot_id = data.get("account_id"), data.get("pivot_id")
        if not isinstance(account_id, str) or not isinstance(pivot_id, str):
            raise BadMessage("missing required keys : account_id and pivot_id, each a text")
        await self._authorizer.authorize(session, account_id, "POST", ("pivots", "*", "requests", pivot_id))
        if self._pivots is None:
            raise BadMessage("pivot points are not available here")
        answered_by = {"name": session.name, "account_id": session.account_id, "socket_id": session.id}
        answer = PivotAnswer(
            data.get("flow"),
            data.get("twiml"),
            {key: value for key, value in answered_by.items() if value is not None},
            session.id,
        )
        try:
            await self._pivots.answer(account_id, pivot_id, answer)
        except UnknownPivotRequest:
            raise BadMessage(f"no request {pivot_id[:128]} waits for an answer: it has ended") from None
        except AnswerRefused as error:
            errors = [text for text in str(error).split("; ") if text]
            raise ActionRejected(errors, {"fields": error.errors}) from None
        return {"response": "pivot answered", "pivot_id": pivot_id}
