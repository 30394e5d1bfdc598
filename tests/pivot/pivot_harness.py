"""A node with pivot points, clients that answer, and KAZOO, which asks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import treq
from attrs import define, frozen
from twisted.web.http_headers import Headers

from tests.websockets.client import WebsocketClient
from tests.websockets.harness import RESELLER, Harness

HANGUP: dict[str, Any] = {"module": "hangup", "data": {}, "children": {}}
FALLBACK: dict[str, Any] = {"module": "callflow", "data": {"id": "0" * 32}, "children": {}}


@frozen
class HttpAnswer:
    """An answer over HTTP."""

    code: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@define
class PivotHarness:
    """REST and KAZOO against one node, with the accounts of `Harness`."""

    harness: Harness

    @property
    def host(self) -> str:
        """Host and port of REST."""
        return self.harness.node.http_host

    async def rest(
        self, method: str, path: str = "", data: Any = None, account: str = RESELLER, token: str | None = None
    ) -> HttpAnswer:
        """Send a request to a path below the account's pivot points."""
        url = f"http://{self.host}/v2/accounts/{account}/pivots{path}"
        headers = {"X-Auth-Token": token or self.harness.tokens[account]}
        body = None if data is None else json.dumps({"data": data}).encode()
        return await fetch(method, url, body, headers)

    async def create(self, account: str = RESELLER, **document: Any) -> dict[str, Any]:
        """Create a pivot point; return its document."""
        given = {"name": "front-desk", "fallback": FALLBACK, **document}
        created = await self.rest("PUT", data=given, account=account)
        assert created.code == 201, created.body
        document_: dict[str, Any] = created.json["data"]
        return document_

    async def kazoo(self, url: str, **parameters: str) -> HttpAnswer:
        """Post a form, as KAZOO's Pivot does."""
        call = {"Call-ID": "c1", "Account-ID": RESELLER, "Caller-ID-Number": "+4722555019", **parameters}
        return await fetch("POST", url, urlencode(call).encode())

    async def connect(self, *bindings: str, account: str = RESELLER) -> WebsocketClient:
        """Connect a client that has subscribed."""
        client = await self.harness.connect(account)
        reply = await client.request(
            "subscribe", {"account_id": account, "bindings": list(bindings) or ["pivot.front-desk"]}
        )
        assert reply["status"] == "success", reply
        return client


async def fetch(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> HttpAnswer:
    """Send a request; return its answer."""
    given = Headers({name: [value] for name, value in (headers or {}).items()})
    response = await treq.request(method, url, data=body, headers=given, persistent=False)
    content_type = (response.headers.getRawHeaders("content-type") or [""])[0]
    return HttpAnswer(response.code, content_type, await response.content())


async def answer(client: WebsocketClient, event: dict[str, Any], **answer: Any) -> dict[str, Any]:
    """Answer a request as a client does; return the reply."""
    data = {"account_id": RESELLER, "pivot_id": event["data"]["pivot_id"], **(answer or {"flow": HANGUP})}
    return await client.request("pivot", data)
