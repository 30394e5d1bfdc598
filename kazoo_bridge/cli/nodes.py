"""Reaches the running nodes: over the broker, or over REST if the bus is within the process of the node."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import quote

import click
import sqlalchemy as sa
from attrs import frozen
from sqlalchemy import Connection
from twisted.application.service import IService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import deferLater

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.rest_client import RestAddress, read_answer
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import BusUnavailable, IBus
from kazoo_bridge.node.cluster import SOCKETS, read_statuses
from kazoo_bridge.node.node_queries import NodeQueryClient
from kazoo_bridge.node.parts import AnyBus, is_embedded, make_bus
from kazoo_bridge.node.tracer import Tracer
from kazoo_bridge.storage import tokens
from kazoo_bridge.storage.tables import accounts
from kazoo_bridge.websockets.cluster_sockets import SocketQueryClient

T = TypeVar("T")

#: Seconds to wait for the broker, and for an answer of REST.
CONNECT_TIMEOUT, REST_TIMEOUT = 10.0, 30.0

#: Seconds for which the token of a command is valid, if the command does not end it before.
TOKEN_TTL = 120.0

_POLL_INTERVAL = 0.05

url_option = click.option(
    "--url",
    metavar="URL",
    help="Ask the node at this URL of REST, such as http://127.0.0.1:8000, and not over the broker.",
)


class Nodes(Protocol):
    """The running nodes."""

    async def statuses(self) -> Sequence[Mapping[str, Any]]:
        """Return the status of each node."""

    async def trace(self, wanted: str, accounts: Collection[str] | None) -> Mapping[str, Any]:
        """See `INodes.trace`. REST accepts one account at most."""

    async def sockets(self, account: str | None) -> Sequence[Mapping[str, Any]]:
        """Return the connected clients, each with its node; None: of all accounts, which REST refuses."""

    async def close_socket(self, account: str, socket_id: str) -> bool:
        """Close a client's connection; return whether there was one."""


@frozen
class BusNodes:
    """The nodes on the broker, in all zones."""

    _bus: AnyBus
    _context: CliContext

    async def statuses(self) -> Sequence[Mapping[str, Any]]:
        """See `Nodes`."""
        return await read_statuses(self._client)

    async def trace(self, wanted: str, accounts: Collection[str] | None) -> Mapping[str, Any]:
        """See `Nodes`."""

        def read(work: Callable[[Connection], T]) -> Deferred[T]:
            return succeed(self._context.read(work))

        return await Tracer(self._client, read).trace(wanted, accounts)

    async def sockets(self, account: str | None) -> Sequence[Mapping[str, Any]]:
        """See `Nodes`."""
        return [
            {**socket, "node": reply.node}
            for reply in await self._client.ask(SOCKETS, {})
            for socket in (reply.data if isinstance(reply.data, list) else [])
            if isinstance(socket, dict) and account in (None, socket.get("account_id"))
        ]

    async def close_socket(self, account: str, socket_id: str) -> bool:
        """See `Nodes`."""
        client = SocketQueryClient(cast(IBus, self._bus))
        return await client.close(account, socket_id) is not None

    @property
    def _client(self) -> NodeQueryClient:
        return NodeQueryClient(cast(IBus, self._bus))


@frozen
class RestNodes:
    """The nodes, asked through one of them."""

    address: RestAddress
    token: str

    async def statuses(self) -> Sequence[Mapping[str, Any]]:
        """See `Nodes`."""
        return cast("Sequence[Mapping[str, Any]]", await self.request("GET", "/v2/nodes"))

    async def trace(self, wanted: str, accounts: Collection[str] | None) -> Mapping[str, Any]:
        """See `Nodes`."""
        of_account = "".join(f"/accounts/{one}" for one in accounts or ())
        path = f"/v2{of_account}/traces/{quote(wanted, safe='')}"
        return cast("Mapping[str, Any]", await self.request("GET", path))

    async def sockets(self, account: str | None) -> Sequence[Mapping[str, Any]]:
        """See `Nodes`. Names of nodes are not known."""
        if account is None:
            raise click.UsageError("expected --account: REST lists the sockets of one account")
        listed = await self.request("GET", f"/v2/accounts/{account}/websockets?paginate=false")
        return [{**socket, "node": None, "account_id": account} for socket in listed]

    async def close_socket(self, account: str, socket_id: str) -> bool:
        """See `Nodes`."""
        await self.request("DELETE", f"/v2/accounts/{account}/websockets/{quote(socket_id, safe='')}")
        return True

    async def request(self, method: str, path: str, data: Any = None) -> Any:
        """Return the ``data`` of an answer; raises `click.ClickException` for an error."""
        body = None if data is None else json.dumps({"data": data}).encode()
        url = self.address.url + path
        try:
            headers = {"X-Auth-Token": self.token}
            response = await self.address.request(method, path, headers, body, REST_TIMEOUT)
        except Exception as error:
            raise click.ClickException(
                f"no node answers at {self.address.url}: {error}; start it, or say where it is with --url"
            ) from None
        try:
            answer = json.loads(await read_answer(url, response))
        except ValueError:
            answer = {}
        if not isinstance(answer, dict):
            answer = {}
        if response.code >= 400:
            reason = json.dumps(answer.get("data") or answer.get("message") or "", ensure_ascii=False)
            raise click.ClickException(f"{url} answered {response.code}: {reason}")
        return answer.get("data")


def use_nodes(context: CliContext, url: str | None, work: Callable[[Nodes], Coroutine[Any, Any, T]]) -> T:
    """Run `work` with the nodes and return its result.

    `url`: ask the node there; None: over the broker of the configuration, or with an embedded bus the node
    at ``http.endpoint``. Raises `click.ClickException` if none can be reached.
    """
    from kazoo_bridge.cli.reactor import run

    config = context.config()
    if url is not None or is_embedded(config):
        address = rest_address(config, url)
        with superadmin_token(context) as token:
            return run(lambda _reactor: work(RestNodes(address, token)))

    async def over_bus(reactor: Any) -> T:
        async with connected_bus(reactor, config) as bus:
            try:
                return await work(BusNodes(bus, context))
            except BusUnavailable as error:
                raise click.ClickException(f"amqp.uri: {error}") from None

    return run(over_bus)


@asynccontextmanager
async def connected_bus(reactor: Any, config: Config) -> AsyncIterator[AnyBus]:
    """Connect to the broker of the configuration; raises `click.ClickException` if that takes too long."""
    bus = make_bus(reactor, config)
    service = IService(bus)
    service.startService()
    try:
        deadline = reactor.seconds() + CONNECT_TIMEOUT
        while (reason := bus.unavailable_reason()) is not None:
            if reactor.seconds() > deadline:
                raise click.ClickException(f"amqp.uri: {reason}")
            await deferLater(reactor, _POLL_INTERVAL)
        yield bus
    finally:
        await maybeDeferred(service.stopService)


def rest_address(config: Config, url: str | None) -> RestAddress:
    """Return where REST is: at `url`, or without one at the ``http.endpoint`` of this host.

    Raises `click.ClickException` if the endpoint has no address that is known.
    """
    if url is None:
        return RestAddress.from_endpoint(config.http.endpoint)
    return RestAddress(url.rstrip("/"))


@contextmanager
def superadmin_token(
    context: CliContext, ttl: float = TOKEN_TTL, restrictions: Mapping[str, Sequence[str]] | None = None
) -> Iterator[str]:
    """Create a token of a super-admin of the storage, valid for `ttl` seconds, and revoke it at the end.

    `restrictions`: see `TokenRestrictions`. Raises `click.ClickException` if the storage has no super-admin.
    """
    token = context.write(lambda connection: _create_token(connection, ttl, restrictions))
    try:
        yield token
    finally:
        context.write(lambda connection: tokens.revoke(connection, token, time.time()))


def _create_token(
    connection: Connection, ttl: float, restrictions: Mapping[str, Sequence[str]] | None
) -> str:
    superadmin = sa.select(accounts.c.id).where(accounts.c.superadmin).order_by(accounts.c.created).limit(1)
    account_id = connection.scalar(superadmin)
    if account_id is None:
        raise click.ClickException(
            "a node is asked with the rights of a super-admin, and the storage has none:"
            " create one with kazoo-bridge account create --superadmin"
        )
    rules = None if restrictions is None else json.dumps(restrictions)
    return tokens.create(connection, account_id, ttl, time.time(), restrictions=rules).token
