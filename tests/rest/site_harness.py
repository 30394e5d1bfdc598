"""A site that serves single resources on loopback, and a client that uses it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.http_headers import Headers

from kazoo_bridge.config import Http
from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.rest.http.routing import Resource
from kazoo_bridge.rest.server.site import make_site
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import LOOPBACK


class SiteHarness:
    """Sends requests to the site at `base`."""

    def __init__(self, base: str) -> None:
        self.base = base

    async def __call__(
        self,
        path: str,
        *,
        verb: str = "GET",
        token: str = "",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
        data: Any = None,
    ) -> Any:
        """Return treq's response with ``json_body`` (None if it is not JSON) and ``text_body``.

        The body of the request is ``{"data": data}``, else `raw`.
        """
        response = await self.open(path, verb=verb, token=token, headers=headers, raw=raw, data=data)
        text = await response.text()
        response.json_body = json.loads(text) if text.startswith("{") else None
        response.text_body = text
        return response

    async def open(
        self,
        path: str,
        *,
        verb: str = "GET",
        token: str = "",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
        data: Any = None,
    ) -> Any:
        """Return treq's response as soon as its head has arrived."""
        sent = ({"X-Auth-Token": token} if token else {}) | (headers or {})
        return await treq.request(
            verb,
            self.base + path,
            headers=Headers({name: [value] for name, value in sent.items()}),
            data=raw if data is None else json.dumps({"data": data}).encode(),
            persistent=False,
            unbuffered=True,
        )


@asynccontextmanager
async def running_site(
    *resources: Resource, http: Http = LOOPBACK, directory: IDirectory | None = None
) -> AsyncIterator[SiteHarness]:
    """Serve the resources; without a `directory`, all tokens are refused."""
    known: Any = directory or FakeDirectory({}, {})
    site = make_site(reactor, resources, "node", known, http)
    port = await serverFromString(reactor, http.endpoint).listen(site)
    try:
        yield SiteHarness(f"http://127.0.0.1:{port.getHost().port}")
    finally:
        await port.stopListening()
