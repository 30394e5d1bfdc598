"""The root of the site: creates a request's context, counts it, and hands it to the routed resource."""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import unquote_to_bytes

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from kazoo_bridge.rest.http.errors import ApiError, invalid_method, parse_error, too_many_requests
from kazoo_bridge.rest.http.query import refuse_broken_escapes
from kazoo_bridge.rest.http.rate_limit import RequestLimiter
from kazoo_bridge.rest.http.request_body import METHODS
from kazoo_bridge.rest.http.request_context import CORS_HEADERS, RequestContext
from kazoo_bridge.rest.resources.operational import HEALTH_PATHS, METRICS_PATH
from kazoo_bridge.rest.server.http_channel import LimitedRequest

#: Monitoring is never limited.
UNLIMITED_PATHS = (*HEALTH_PATHS, METRICS_PATH)

_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f]")
_KNOWN_METHODS = (b"HEAD", *(method.encode() for method in METHODS))


class RootResource(Resource):
    """Refuses requests that cannot be routed, answers OPTIONS, and applies the method that a POST carries.

    `app` has the routes, `node` is the node's name in responses, `limiter` limits requests, and `clock` gives
    the timestamps of responses. `max_page_bytes`: see `Paginator`.
    """

    isLeaf = True

    def __init__(
        self, app: Klein, node: str, limiter: RequestLimiter, clock: IReactorTime, max_page_bytes: int
    ) -> None:
        super().__init__()
        self._routes = app.url_map.bind("localhost")
        self._routed = KleinResource(app)
        self._node = node
        self._limiter = limiter
        self._clock = clock
        self._max_page_bytes = max_page_bytes

    def render(self, request: LimitedRequest) -> bytes | int:
        """Answer the request, or route it."""
        request.context = context = RequestContext(
            request, self._node, self._clock, self._limiter.mark_authenticated, self._max_page_bytes
        )
        try:
            path = _decode_path(request.path)
            context.parse_query()
            if request.method == b"OPTIONS":
                return self._answer_options(request, path)  # not counted: a refusal would cost as much
            self._count(context, path)
            if (method := context.overridden_method()) is not None:
                request.method = method.encode()
            if request.method not in _KNOWN_METHODS:
                raise invalid_method(self._allowed_methods(path) or METHODS)
        except ApiError as error:
            return context.write_error(error)
        if request.postpath and request.postpath[1:] and not request.postpath[-1]:
            request.postpath.pop()  # like KAZOO, ignore a slash at the end
        return cast("bytes | int", self._routed.render(request))

    def _count(self, context: RequestContext, path: str) -> None:
        if path.rstrip("/") in UNLIMITED_PATHS:
            return
        if seconds := self._limiter.take(context.header_token(), context.request.getClientAddress()):
            raise too_many_requests(seconds, "requests")

    def _answer_options(self, request: LimitedRequest, path: str) -> bytes:
        for name, value in CORS_HEADERS.items():
            request.setHeader(name, value)
        request.setHeader("Allow", ", ".join(sorted({*self._allowed_methods(path), "OPTIONS"})))
        return b""

    def _allowed_methods(self, path: str) -> list[str]:
        return sorted(self._routes.allowed_methods(path.rstrip("/")))


def _decode_path(raw: bytes) -> str:
    """Return the decoded path; raises a parse error if it is not UTF-8 or has control characters."""
    refuse_broken_escapes(raw, "path")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise parse_error("the path is not UTF-8") from None
    if _CONTROL_CHARACTER.search(path):
        raise parse_error("the path has control characters")
    return path
