"""A whole bridge on the embedded bus, and clients for its websockets."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from kazoo_bridge.config import Amqp, Calls, Config, Http, Storage, Websockets
from kazoo_bridge.node.node import Node
from tests.websockets.client import Client

TOP, RESELLER, CHILD, STRANGER = "f" * 32, "a" * 32, "b" * 32, "c" * 32


@define
class Stage:
    """The bridge, a token for each account, and what was opened."""

    bridge: Node
    tokens: dict[str, str] = field(factory=dict)
    clients: list[Client] = field(factory=list)

    @classmethod
    async def of(cls, folder: Any, amqp_uri: str = "embedded:", **settings: Any) -> Stage:
        config = evolve(
            Config(),
            amqp=Amqp(amqp_uri),
            storage=Storage(f"sqlite:///{folder}/b.sqlite3"),
            http=Http("tcp:0:interface=127.0.0.1"),
            calls=Calls(query_timeout_ms=200),
            websockets=evolve(Websockets(), endpoint="tcp:0:interface=127.0.0.1", **settings),
        )
        stage = cls(Node.from_config(reactor, config))
        await stage.bridge.start()
        accounts = stage.bridge.accounts
        await accounts.create(TOP, superadmin=True)
        await accounts.create(RESELLER, realm="reseller.example.com")
        await accounts.create(CHILD, parent_id=RESELLER, realm="child.example.com")
        await accounts.create(STRANGER)
        await stage.bridge.directory.load()
        for account in (TOP, RESELLER, CHILD, STRANGER):
            stage.tokens[account] = (await stage.bridge.tokens.create(account)).token
        return stage

    async def client(self, account: str | None = RESELLER, **options: Any) -> Client:
        """A connected client, authenticated for the account."""
        client = Client(self.bridge.websockets.host, **options)
        self.clients.append(client)
        await client.open()
        if account is not None:
            assert (await client.ask("ping", auth_token=self.tokens[account]))["status"] == "success"
        return client

    async def publish(self, exchange: str, routing_key: str, **body: Any) -> None:
        await self.bridge.bus.publish(exchange, routing_key, body)

    async def call(
        self, account: str | None, name: str = "CHANNEL_CREATE", call_id: str = "call-1", **more: Any
    ) -> None:
        variables = {"Account-ID": account} if account else {}
        body = {
            "Event-Category": "call_event",
            "Event-Name": name,
            "Call-ID": call_id,
            "Custom-Channel-Vars": variables,
            "Msg-ID": "m",
        }
        await self.publish("callevt", f"call.{name}.{call_id}", **body, **more)

    async def stop(self) -> None:
        for client in self.clients:
            if client.protocol is not None and not client.closed.called:
                client.protocol.dropConnection(abort=True)
        await self.bridge.stop(Deferred())
