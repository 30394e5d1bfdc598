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

from kazoo_bridge.rest.http.routing import Resource
from kazoo_bridge.rest.server.site import make_site
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import LOOPBACK


class SiteHarness:
    """Sends requests to the site at `base`."""

    def __init__(self, base: str) -> None:
        self.base = base

    async def __call__(
        self, path: str, *, verb: str = "GET", token: str = "", headers: dict[str, str] | None = None
    ) -> Any:
        """Return treq's response with ``text_body`` and ``json_body`` (None if it is not JSON)."""
        response = await self.open(path, verb=verb, token=token, headers=headers)
        text = await response.text()
        response.text_body = text
        response.json_body = json.loads(text) if text.startswith("{") else None
        return response

    async def open(
        self, path: str, *, verb: str = "GET", token: str = "", headers: dict[str, str] | None = None
    ) -> Any:
        """Return treq's response as soon as its head has arrived."""
        sent = ({"X-Auth-Token": token} if token else {}) | (headers or {})
        return await treq.request(
            verb,
            self.base + path,
            headers=Headers({name: [value] for name, value in sent.items()}),
            persistent=False,
            unbuffered=True,
        )


@asynccontextmanager
async def running_site(*resources: Resource) -> AsyncIterator[SiteHarness]:
    site = make_site(reactor, resources, "node", FakeDirectory({}, {}), LOOPBACK)
    port = await serverFromString(reactor, LOOPBACK.endpoint).listen(site)
    yield SiteHarness(f"http://127.0.0.1:{port.getHost().port}")
    await port.stopListening()
