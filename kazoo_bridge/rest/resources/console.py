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
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.etags import is_not_modified
from kazoo_bridge.rest.http.request_context import RequestWithContext
from kazoo_bridge.rest.http.routing import RoutedResource, route

PATH = "/console"

#: A year, for files whose path has their revision.
_PERMANENT = "public, max-age=31536000, immutable"

_NO_QUALITY = re.compile(r"q=0(?:\.0{0,3})?")

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)


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
        self._set_headers(request.context.request, "application/json", "no-store")
        settings = {
            "websocket": self.websockets.settings(),
            "embedded": self.is_embedded,
            "eavesdrop": self.may_eavesdrop,
        }
        return orjson.dumps(settings)

    @route("GET", f"{PATH}/<path:name>")
    async def file(self, request: RequestWithContext, name: str) -> bytes:
        """Answer with one of the page's files, compressed if the client accepts that."""
        context = request.context
        file, is_permanent = self.files.find(name)
        if file is None:
            return context.write_error(bad_identifier(context.path))
        web_request = context.request
        self._set_headers(web_request, file.content_type, _PERMANENT if is_permanent else "no-cache")
        content, tag = file.content, file.revision
        if file.gzip is not None:
            web_request.setHeader("Vary", "Accept-Encoding")
            if _accepts_gzip(web_request):
                web_request.setHeader("Content-Encoding", "gzip")
                content, tag = file.gzip, f"{file.revision}-gzip"
        web_request.setHeader("ETag", f'"{tag}"')
        if is_not_modified(web_request, tag):
            web_request.setResponseCode(304)
            return b""
        web_request.setHeader("Content-Length", str(len(content)))
        return content

    def _set_headers(self, request: IRequest, content_type: str, cache_control: str) -> None:
        connect_sources = self.websockets.connect_sources(_host_name(request))
        policy = "; ".join((*_CONTENT_SECURITY_POLICY, f"connect-src 'self' {connect_sources}"))
        for name, value in {
            "Content-Type": content_type,
            "Cache-Control": cache_control,
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            request.setHeader(name, value)


def _host_name(request: IRequest) -> str:
    """Return the request's ``Host`` without its port; empty without that header."""
    host = request.getHeader("Host") or ""
    return host.rpartition(":")[0] if re.search(r":\d*$", host) else host


def _accepts_gzip(request: IRequest) -> bool:
    """Return whether the client accepts gzip: it names it, or anything, with a quality above 0."""
    qualities = {}
    for item in (request.getHeader("Accept-Encoding") or "").lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        qualities[coding] = not any(_NO_QUALITY.fullmatch(parameter) for parameter in parameters)
    return qualities.get("gzip", qualities.get("*", False))
