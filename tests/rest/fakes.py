"""Fakes of the interfaces that resources use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    Account,
    IDirectory,
    IEventStream,
    IStreamTransport,
    IWebsockets,
    Principal,
    StorageUnavailable,
    StreamRequest,
    UserLogin,
)

#: What a stream of `FakeWebsockets` sends first.
OPENED = b"data: opened\n\n"


@implementer(IDirectory)
@define(eq=False)
class FakeDirectory:
    """Accounts and tokens in memory. The token ``unavailable`` stands for a storage that does not answer."""

    accounts: dict[str, Account] = field(factory=dict)
    tokens: dict[str, Principal] = field(factory=dict)

    def authenticate(self, token: str) -> Deferred[Principal | None]:
        return fail(StorageUnavailable("away")) if token == "unavailable" else succeed(self.tokens.get(token))

    def login(self, api_key: str) -> Deferred[tuple[str, Principal] | None]:
        return succeed(None)

    def log_in_user(self, credentials: Mapping[str, Any]) -> Deferred[UserLogin | None]:
        return succeed(None)

    def log_out(self, token: str) -> Deferred[bool]:
        return succeed(self.tokens.pop(token, None) is not None)

    def account(self, account_id: str) -> Deferred[Account | None]:
        return succeed(self.accounts.get(account_id))

    def reseller_of(self, account_id: str) -> str | None:
        ancestors = self.ancestors(account_id)
        return ancestors[0] if ancestors else None

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        account = self.accounts.get(account_id)
        return None if account is None else account.ancestors

    def descendants(self, account_id: str) -> Deferred[frozenset[str]]:
        return succeed(
            frozenset(account.id for account in self.accounts.values() if account_id in account.ancestors)
        )

    def is_superadmin(self, account_id: str) -> bool:
        account = self.accounts.get(account_id)
        return account is not None and account.superadmin

    def account_for_number(self, number: str) -> str | None:
        return None

    def look_up_number(self, number: str) -> Deferred[Any] | None:
        return None

    def can_act_for(self, principal: Principal, account_id: str) -> Deferred[bool]:
        own = principal.account_id
        return succeed(principal.superadmin or own == account_id or own in (self.ancestors(account_id) or ()))


@implementer(IPushProducer)
class FakeProducer:
    """Produces nothing."""

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def stopProducing(self) -> None:
        pass


@implementer(IEventStream)
@define(eq=False)
class FakeStream:
    """A stream that a test writes to."""

    transport: IStreamTransport
    request: StreamRequest
    producer: IPushProducer = field(factory=FakeProducer)
    is_closed: bool = False

    def keep_alive(self) -> None:
        self.transport.write(b": \n\n")

    def closed(self) -> None:
        self.is_closed = True


@implementer(IWebsockets)
@define(eq=False)
class FakeWebsockets:
    """Sockets in memory, and the streams that were opened. `error` is raised instead of an answer."""

    documents: dict[str, Mapping[str, Any]] = field(factory=dict)
    streams: list[FakeStream] = field(factory=list)
    error: Exception | None = None
    #: The accounts of which a socket was asked for or closed, and whose sockets were listed beside others.
    asked: list[str] = field(factory=list)

    def bindings(self) -> Mapping[str, Sequence[str]]:
        return {"call": ["call.CHANNEL_CREATE.{CALL_ID}"]}

    async def sockets(self, account_id: str, requester_id: str | None = None) -> Sequence[Mapping[str, Any]]:
        self._raise_error()
        self.asked += [] if requester_id is None else [requester_id]
        return list(self.documents.values())

    async def socket(self, account_id: str, socket_id: str) -> Mapping[str, Any] | None:
        self.asked.append(account_id)
        return self.documents.get(socket_id)

    async def close_socket(self, account_id: str, socket_id: str) -> Mapping[str, Any] | None:
        self.asked.append(account_id)
        return self.documents.pop(socket_id, None)

    async def open_stream(self, transport: IStreamTransport, request: StreamRequest) -> IEventStream:
        self._raise_error()
        self.streams.append(FakeStream(transport, request))
        transport.write(OPENED)
        return self.streams[-1]

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error
