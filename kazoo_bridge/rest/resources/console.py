"""``/console/``: the operator console's page, and what it must know of this installation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import orjson
from attrs import frozen
from klein import Klein
from klein.app import KleinRequest
from twisted.web.iweb import IRequest

from kazoo_bridge.console.files import PageFile
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.etags import EntityTags
from kazoo_bridge.rest.http.request_context import RequestContext, Response, handle_request

PATH = "/console"

_SETTINGS = "settings.json"

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

_SELF_ONLY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)


@frozen
class WebsocketLocation:
    """Where browsers find the websockets: at `uri`, or where that is empty at the page's own host, on `port`.

    `secure`: the port itself speaks TLS. A page that came over https uses it in any case.
    """

    uri: str
    secure: bool
    port: Callable[[], int]

    def sources(self, host: str) -> str:
        """What the page may connect to, as a Content-Security-Policy names it, for a page that came from `host`."""
        if self.uri:
            parts = urlsplit(self.uri)
            return f"{parts.scheme}://{parts.netloc}"
        # A policy has no form for IPv6 addresses; nor is anything put into a header that is no name.
        name = host if _HOST_NAME.fullmatch(host) else "*"
        return " ".join(
            f"{scheme}://{name}:{self.port()}" for scheme in (("wss",) if self.secure else ("ws", "wss"))
        )

    def settings(self) -> bytes:
        """The same for the page's scripts."""
        return orjson.dumps({"websocket": {"uri": self.uri, "secure": self.secure, "port": self.port()}})


@frozen
class ConsoleResource:
    """Serves the page's files out of memory. They are public, as the REST interface is; what they show needs a token."""

    files: Mapping[str, PageFile]
    websockets: WebsocketLocation
    node: str

    async def page(self, request: KleinRequest) -> bytes:
        """GET: the page. Its links are relative, so that it can stand below any path of a proxy."""
        if not IRequest(request).path.endswith(b"/"):
            IRequest(request).redirect(b"console/")
            return b""
        return await self.file(request, "index.html")

    async def settings(self, request: KleinRequest) -> bytes:
        """GET: what the page must know of this installation."""
        self._head(request, "application/json", "no-store")
        return self.websockets.settings()

    async def file(self, request: KleinRequest, name: str) -> bytes:
        """GET: one of the page's files."""
        file = self.files.get(name)
        if file is None:
            return await handle_request(request, self.node, _no_such_file)
        self._head(request, file.content_type, "no-cache")
        web_request = IRequest(request)
        web_request.setHeader("ETag", f'"{file.revision}"')
        known = EntityTags.parse(web_request.getHeader("If-None-Match"))
        if known is not None and known.has(file.revision):
            web_request.setResponseCode(304)
            return b""
        web_request.setHeader("Content-Length", str(len(file.content)))
        return file.content

    def _head(self, request: KleinRequest, content_type: str, caching: str) -> None:
        web_request = IRequest(request)
        for name, value in {
            "Content-Type": content_type,
            "Cache-Control": caching,
            "Content-Security-Policy": "; ".join(
                (*_SELF_ONLY, f"connect-src 'self' {self.websockets.sources(_host(web_request))}")
            ),
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            web_request.setHeader(name, value)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        app.route(PATH, methods=["GET"])(self.page)
        app.route(f"{PATH}/{_SETTINGS}", methods=["GET"])(self.settings)
        app.route(f"{PATH}/<path:name>", methods=["GET"])(self.file)


async def _no_such_file(exchange: RequestContext) -> Response:
    raise bad_identifier(exchange.path)


def _host(request: IRequest) -> str:
    """The host that the page was asked for under, without the port; empty when it is no name."""
    given = request.getHeader("Host") or ""
    return given.rpartition(":")[0] if re.search(r":\d*$", given) else given
