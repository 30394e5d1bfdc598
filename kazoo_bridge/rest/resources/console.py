"""``/console/``: the page of the operator console, and the settings that it needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from attrs import frozen
from twisted.web.iweb import IRequest

from kazoo_bridge.console.files import INDEX, PageFiles
from kazoo_bridge.rest.http.request_context import RequestWithContext
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.http.static_files import (
    NO_HTML_FROM_TEXT,
    OWN_FILES_ONLY,
    set_page_headers,
    write_static_file,
)

PATH = "/console"

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@frozen
class WebsocketLocation:
    """Where browsers find the websockets.

    `uri` is their URI; if it is empty, they are at the host of the page, on the port that `port` returns.
    `secure`: that port speaks TLS. (A page that was loaded over https uses TLS in any case.)
    """

    uri: str
    secure: bool
    port: Callable[[], int]

    def connect_sources(self, host: str) -> str:
        """Return the sources that a page loaded from `host` may connect to, for its
        Content-Security-Policy."""
        if self.uri:
            parts = urlsplit(self.uri)
            return f"{parts.scheme}://{parts.netloc}"
        # A policy cannot express IPv6 addresses, and a Host header that is not a name must not get into it.
        name = host if _HOST_NAME.fullmatch(host) else "*"
        schemes = ("wss",) if self.secure else ("ws", "wss")
        return " ".join(f"{scheme}://{name}:{self.port()}" for scheme in schemes)

    def settings(self) -> dict[str, Any]:
        """Return the location, for the page's scripts."""
        return {"uri": self.uri, "secure": self.secure, "port": self.port()}


@frozen
class ConsoleResource(RoutedResource):
    """Serves the page's files from memory, to any client: what the page shows needs a token.

    `is_embedded`: the bus is inside the process, so that no switch's events arrive. `may_eavesdrop`: the
    installation allows the command ``eavesdrop``, so the page offers it.
    """

    files: PageFiles
    websockets: WebsocketLocation
    is_embedded: bool = False
    may_eavesdrop: bool = False

    @route("GET", "/")
    async def root(self, request: RequestWithContext) -> bytes:
        """Lead to the page."""
        request.context.request.redirect(b"console/")
        return b""

    @route("GET", PATH)
    async def page(self, request: RequestWithContext) -> bytes:
        """Answer with the page. Its links are relative, so that a proxy can serve it below any path."""
        web_request = request.context.request
        if not web_request.path.endswith(b"/"):
            web_request.redirect(b"console/")
            return b""
        return await self.file(request, INDEX)

    @route("GET", f"{PATH}/settings.json")
    async def settings(self, request: RequestWithContext) -> bytes:
        """Answer with the settings that the page needs."""
        web_request = request.context.request
        set_page_headers(web_request, "application/json", "no-store", self._policy(web_request))
        settings = {
            "websocket": self.websockets.settings(),
            "embedded": self.is_embedded,
            "eavesdrop": self.may_eavesdrop,
        }
        return orjson.dumps(settings)

    @route("GET", f"{PATH}/<path:name>")
    async def file(self, request: RequestWithContext, name: str) -> bytes:
        """Answer with one of the page's files, compressed if the client accepts that."""
        return write_static_file(request.context, self.files, name, self._policy(request.context.request))

    def _policy(self, request: IRequest) -> str:
        connect_sources = self.websockets.connect_sources(_host_name(request))
        parts = (
            *OWN_FILES_ONLY,
            *NO_HTML_FROM_TEXT,
            "form-action 'none'",
            f"connect-src 'self' {connect_sources}",
        )
        return "; ".join(parts)


def _host_name(request: IRequest) -> str:
    """Return the request's ``Host`` without its port; empty without that header."""
    host = request.getHeader("Host") or ""
    return host.rpartition(":")[0] if re.search(r":\d*$", host) else host
