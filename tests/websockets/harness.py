"""A whole node on the embedded bus, and websocket clients connected to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from kazoo_bridge.config import Amqp, Calls, Config, Http, Storage, Websockets
from kazoo_bridge.node.assembly import build_node
from kazoo_bridge.node.node import Node
from kazoo_bridge.websockets.service import WebsocketService
from kazoo_bridge.websockets.sessions.session import Session
from tests.storage.sqlite_template import make_migrated_database
from tests.websockets.client import WebsocketClient

TOP, RESELLER, CHILD, STRANGER = "f" * 32, "a" * 32, "b" * 32, "c" * 32


@define
class Harness:
    """A running node with four accounts, a token for each, and the clients that were connected.

    TOP is a super-admin's; CHILD is below RESELLER; STRANGER is related to neither.
    """

    node: Node
    tokens: dict[str, str] = field(factory=dict)
    clients: list[WebsocketClient] = field(factory=list)

    @classmethod
    async def start(
        cls, folder: Any, amqp_uri: str = "embedded:", zones: Sequence[str] = (), **settings: Any
    ) -> Harness:
        """Start a node in `folder`; `settings` are keys of the configuration's section ``websockets``."""
        config = evolve(
            Config(),
            amqp=Amqp(amqp_uri, zones=tuple(zones)),
            storage=Storage(make_migrated_database(Path(folder, "b.sqlite3"))),
            http=Http("tcp:0:interface=127.0.0.1"),
            calls=Calls(query_timeout_ms=200),
            websockets=evolve(Websockets(), **{"endpoint": "tcp:0:interface=127.0.0.1", **settings}),
        )
        harness = cls(build_node(reactor, config))
        await harness.node.start()
        accounts = harness.node.accounts
        await accounts.create(TOP, superadmin=True)
        await accounts.create(RESELLER, realm="reseller.example.com")
        await accounts.create(CHILD, parent_id=RESELLER, realm="child.example.com")
        await accounts.create(STRANGER)
        await harness.node.directory.load()
        for account in (TOP, RESELLER, CHILD, STRANGER):
            harness.tokens[account] = (await harness.node.tokens.create(account)).token
        return harness

    @property
    def websockets(self) -> WebsocketService:
        return self.node.websockets

    @property
    def sessions(self) -> list[Session]:
        return list(self.websockets.sessions)

    async def connect(self, account: str | None = RESELLER, **options: Any) -> WebsocketClient:
        """Connect a client, authenticated as the account unless that is None."""
        client = WebsocketClient(self.websockets.host, **options)
        self.clients.append(client)
        await client.open()
        if account is not None:
            assert (await client.request("ping", auth_token=self.tokens[account]))["status"] == "success"
        return client

    async def publish(self, exchange: str, routing_key: str, **body: Any) -> None:
        await self.node.bus.publish(exchange, routing_key, body)

    async def publish_call(
        self, account: str | None, name: str = "CHANNEL_CREATE", call_id: str = "call-1", **more: Any
    ) -> None:
        """Publish a call event of the account; None: the event names no account."""
        variables = {"Account-ID": account} if account else {}
        body = {
            "Event-Category": "call_event",
            "Event-Name": name,
            "Call-ID": call_id,
            "Custom-Channel-Vars": variables,
            "Msg-ID": "m",
        }
        await self.publish("callevt", f"call.{name}.{call_id}", **body, **more)

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Let the reactor run until the condition is true; fails after 10 seconds."""
        deadline = reactor.seconds() + 10
        while not condition():
            assert reactor.seconds() < deadline, "waited in vain"
            await deferLater(reactor, 0)

    async def stop(self) -> None:
        for client in self.clients:
            client.drop()
        await self.node.stop(Deferred())
