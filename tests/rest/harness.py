"""A node with REST, and a client that uses it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import treq
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.http_headers import Headers

from kazoo_bridge.config import Config, Http, Websockets
from kazoo_bridge.interfaces import IBus, Queue, Topic
from kazoo_bridge.kazoo import Event
from kazoo_bridge.node.assembly import build_node
from kazoo_bridge.node.node import Node

ACCOUNT, CHILD, STRANGER = "a" * 32, "b" * 32, "c" * 32

#: A valid document. Nothing listens on the port of its URI.
HOOK_DOCUMENT = {"name": "n", "uri": "http://127.0.0.1:9/x", "hook": "channel_create"}

# Tests open a connection for each request.
LOOPBACK = Http("tcp:0:interface=127.0.0.1", connection_burst=1_000_000)


class RestHarness:
    """Sends requests to a node; with `token`, unless a request names another one."""

    def __init__(self, node: Node, token: str) -> None:
        self.node = node
        self.token = token
        self.base = f"http://{node.http_host}"

    async def __call__(
        self,
        verb: str,
        path: str,
        data: Any = None,
        *,
        token: str | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Return treq's response with ``json_body`` (None if it is not JSON) and ``text_body``.

        The body is ``{"data": data}``, or `raw`.
        """
        token = self.token if token is None else token
        sent = ({"X-Auth-Token": token} if token else {}) | (headers or {})
        body = raw
        if body is None and data is not None:
            body = json.dumps({"data": data}).encode()
        response: Any = await treq.request(
            verb,
            self.base + path,
            headers=Headers({name: [value] for name, value in sent.items()}),
            data=body,
            persistent=False,
        )
        text = await response.text()
        response.json_body = json.loads(text) if text.startswith("{") else None
        response.text_body = text
        return response

    async def get_data(self, path: str, *, token: str | None = None) -> Any:
        """Return the ``data`` of a successful GET."""
        response = await self("GET", path, token=token)
        assert response.code == 200, response.text_body
        return response.json_body["data"]

    async def create_failing_hook(self, account_id: str = ACCOUNT, **document: Any) -> str:
        """Create a hook to a port on which nothing listens, without quick retries; returns its id."""
        return await self.create_hook(account_id, **{"retries": 0, **document})

    async def get_hook(self, hook_id: str, account_id: str = ACCOUNT) -> dict[str, Any]:
        """Return a hook's document."""
        document: dict[str, Any] = await self.get_data(hooks_path(account_id, hook_id))
        return document

    async def disable_hook(self, hook_id: str, account_id: str = ACCOUNT) -> None:
        """Disable a hook because of failures."""
        hooks = self.node.webhooks.hooks
        stored = await hooks.get(account_id, hook_id)
        assert stored is not None
        assert await hooks.disable(account_id, hook_id, stored.revision, "too many failed attempts")

    async def publish_calls(self, account_id: str = ACCOUNT, count: int = 1) -> None:
        """Publish the beginnings of `count` calls of an account."""
        for number in range(count):
            body = make_call(account_id, f"{account_id[:1]}{number}")
            await self.node.bus.publish("callevt", f"call.CHANNEL_CREATE.{number}", body)

    async def create_hook(self, account_id: str = ACCOUNT, **document: Any) -> str:
        """Create a hook; returns its id."""
        response = await self("PUT", hooks_path(account_id), {**HOOK_DOCUMENT, **document})
        assert response.code == 201, response.text_body
        hook_id: str = response.json_body["data"]["id"]
        return hook_id


@asynccontextmanager
async def running_node(config: Config) -> AsyncIterator[RestHarness]:
    """A node on loopback with the accounts `ACCOUNT`, its child `CHILD`, and `STRANGER`, and a token of
    `ACCOUNT`."""
    node = build_node(
        reactor, evolve(config, websockets=evolve(Websockets(), endpoint="tcp:0:interface=127.0.0.1"))
    )
    await node.start()
    try:
        await node.accounts.create(ACCOUNT)
        await node.accounts.create(CHILD, parent_id=ACCOUNT)
        await node.accounts.create(STRANGER)
        await node.directory.load()
        yield RestHarness(node, (await node.tokens.create(ACCOUNT)).token)
    finally:
        await node.stop(Deferred())


def hooks_path(account_id: str = ACCOUNT, hook_id: str = "") -> str:
    return f"/v2/accounts/{account_id}/webhooks" + (f"/{hook_id}" if hook_id else "")


def make_call(account_id: str, call_id: str) -> dict[str, Any]:
    """Return the message of the beginning of a call."""
    return {
        "Event-Category": "call_event",
        "Event-Name": "CHANNEL_CREATE",
        "Call-ID": call_id,
        "Custom-Channel-Vars": {"Account-ID": account_id},
    }


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Poll until `await condition()` is true; returns its value."""
    deadline = reactor.seconds() + 15
    while not (value := await condition()):
        assert reactor.seconds() < deadline, "the condition never came true"
        await deferLater(reactor, 0.02)
    return value


class BusListener:
    """Collects the messages of some topics."""

    def __init__(self, bus: IBus, *topics: Topic) -> None:
        self.events: list[Event] = []
        bus.consume(Queue(topics=frozenset(topics), acknowledge=False), self.events.append)

    async def first(self) -> Event:
        """Wait for the first message."""

        async def has_events() -> bool:
            return bool(self.events)

        await until(has_events)
        return self.events[0]
