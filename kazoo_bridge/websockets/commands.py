"""Sends clients' commands: to a live call, or to make a new one, whose outcome the client receives later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import (
    ALL_ACCOUNTS,
    CommandForbidden,
    CommandRefused,
    ICalls,
    NewCall,
    NoSwitch,
    TooManyNewCalls,
    UnknownCall,
)
from kazoo_bridge.websockets.client_messages import BadMessage, ClientMessage
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.frames import encode_json
from kazoo_bridge.websockets.sessions.authorization import Authorizer

#: Commands that make a new call instead of acting on one.
NEW_CALL_COMMANDS = frozenset(("originate", "eavesdrop"))

_METAFLOW = "metaflow"

Data = Mapping[str, Any]


class ActionRejected(Exception):
    """A message is refused. `errors` are texts for the client; `more` stands beside them in the reply."""

    def __init__(self, errors: list[str], more: Data | None = None) -> None:
        super().__init__(*errors)
        self.errors = errors
        self.more = more or {}


@frozen
class _Command:
    """A client's command. `call_id` is empty if it makes a new call and names none."""

    account_id: str
    name: str
    call_id: str
    arguments: dict[str, Any]

    @classmethod
    def parse(cls, data: Data) -> _Command:
        """Take the command from the data of a message. Raises `BadMessage`."""
        arguments = dict(data)
        account_id, call_id, name = (arguments.pop(key, None) for key in ("account_id", "call_id", "command"))
        if name in NEW_CALL_COMMANDS and call_id is None:
            call_id = ""
        if not isinstance(account_id, str) or not isinstance(call_id, str) or not isinstance(name, str):
            raise BadMessage("missing required keys : account_id, call_id and command, each a text")
        nested = arguments.get("data")
        if isinstance(nested, dict):
            arguments = dict(nested)
        else:
            # These two describe the socket, see ClientMessage.
            arguments.pop("name", None)
            arguments.pop("metadata", None)
        return cls(account_id, name, call_id, arguments)

    def rest_request(self) -> tuple[str, tuple[str, ...]]:
        """Return method and path of the same command over REST, for tokens with restrictions."""
        if self.name in NEW_CALL_COMMANDS:
            return "PUT", ("channels",)
        return "PUT" if self.name == _METAFLOW else "POST", ("channels", *self.call_id.split("/"))


@frozen
class CommandSender:
    """Sends commands of clients. `calls` is None where commands are not available."""

    _authorizer: Authorizer
    _calls: ICalls | None

    async def send(self, connection: Connection, message: ClientMessage) -> Data:
        """Carry out the action ``command``; returns the data of the reply.

        Raises `BadMessage`, `AccessDenied`, `ActionRejected`, `BusUnavailable` or `StorageUnavailable`.
        """
        command = _Command.parse(message.data)
        await self._authorizer.authorize(connection.session, command.account_id, *command.rest_request())
        if command.account_id == ALL_ACCOUNTS:
            raise BadMessage("commands are not available for all accounts at once")
        if self._calls is None:
            raise BadMessage("commands are not available here")
        try:
            return await self._send(self._calls, connection, message, command)
        except UnknownCall as error:
            raise BadMessage(f"the account has no live call {str(error)[:128]}") from None
        except (CommandForbidden, TooManyNewCalls, NoSwitch) as error:
            raise ActionRejected([str(error)]) from None
        except CommandRefused as error:
            errors = [text for text in str(error).split("; ") if text]
            raise ActionRejected(errors, {"fields": error.errors}) from None

    async def _send(
        self, calls: ICalls, connection: Connection, message: ClientMessage, command: _Command
    ) -> Data:
        account_id, call_id, arguments = command.account_id, command.call_id, command.arguments
        if command.name == _METAFLOW:
            return {"response": await calls.flow(account_id, call_id, arguments)}
        if command.name not in NEW_CALL_COMMANDS:
            return {"response": await calls.command(account_id, call_id, command.name, arguments)}
        session = connection.session
        if call_id:
            arguments.setdefault("call_id", call_id)

        def on_outcome(call: NewCall) -> None:
            # The session may have another connection by then, or none.
            if session.output is not None and not session.ended:
                session.output.reply(encode_outcome(message.request_id, call))

        call = await calls.place(account_id, command.name, arguments, on_outcome)
        return {"response": f"{command.name} initiated", **call.document()}


def encode_outcome(request_id: str, call: NewCall) -> bytes:
    """Encode the message ``command_outcome``; `request_id` is that of the command."""
    return encode_json({"action": "command_outcome", "request_id": request_id, "data": call.document()})
