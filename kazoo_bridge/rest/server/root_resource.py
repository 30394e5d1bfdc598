"""What every request passes before it is routed."""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import unquote_to_bytes

from klein import Klein
from klein.resource import KleinResource
from twisted.web.resource import Resource

from kazoo_bridge.rest.http.auth_token import auth_token
from kazoo_bridge.rest.http.errors import ApiError, invalid_method, parse_error, too_many_requests
from kazoo_bridge.rest.http.method_override import METHODS, overridden_method
from kazoo_bridge.rest.http.query import Query, refuse_broken_escapes
from kazoo_bridge.rest.http.rate_limit import RequestLimiter
from kazoo_bridge.rest.http.request_context import CORS_HEADERS, RequestContext
from kazoo_bridge.rest.resources.health import PATHS as HEALTH_PATHS
from kazoo_bridge.rest.resources.metrics import PATH as METRICS_PATH
from kazoo_bridge.rest.server.http_request import LimitedRequest

#: Nobody who watches the process may be turned away.
UNLIMITED_PATHS = (*HEALTH_PATHS, METRICS_PATH)

_CONTROL = re.compile("[\x00-\x1f\x7f]")


class RootResource(Resource):
    """Refuses what cannot be routed, answers OPTIONS, and unpacks a verb that was carried inside a POST."""

    isLeaf = True

    def __init__(self, app: Klein, node: str, rates: RequestLimiter) -> None:
        super().__init__()
        self._routes = app.url_map.bind("localhost")
        self._routed = KleinResource(app)
        self._node = node
        self._rates = rates

    def render(self, request: LimitedRequest) -> bytes | int:
        """Answer, or let the routed resource do it."""
        try:
            path = _decoded_path(request.path)
            query = Query.parse(request.uri)
            if request.method == b"OPTIONS":
                return self._preflight(request, path)  # refusing it would cost no less than answering
            self._count(request, path, query)
            verb = overridden_method(request, query)
            if verb is not None:
                request.method, request.tunnelled = verb.encode(), True
            if request.method not in (b"HEAD", *(known.encode() for known in METHODS)):
                raise invalid_method(self._allowed(path) or METHODS)
        except ApiError as error:
            return RequestContext(request, self._node).write_error(error)
        if request.postpath and request.postpath[1:] and not request.postpath[-1]:
            request.postpath.pop()  # KAZOO sees no difference in a slash at the end
        return cast("bytes | int", self._routed.render(request))

    def _count(self, request: LimitedRequest, path: str, query: Query) -> None:
        if path.rstrip("/") in UNLIMITED_PATHS:
            return
        if seconds := self._rates.take(auth_token(request, query), request.getClientAddress()):
            raise too_many_requests(seconds, "requests")
        request.mark_token_valid = self._rates.mark_authenticated

    def _preflight(self, request: LimitedRequest, path: str) -> bytes:
        for name, value in CORS_HEADERS.items():
            request.setHeader(name, value)
        request.setHeader("Allow", ", ".join(sorted({*self._allowed(path), "OPTIONS"})))
        return b""

    def _allowed(self, path: str) -> list[str]:
        return sorted(self._routes.allowed_methods(path.rstrip("/")))


def _decoded_path(raw: bytes) -> str:
    """The path as text; raises a parse error when it is none, or one that no id can be in."""
    refuse_broken_escapes(raw, "path")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise parse_error("the path is not UTF-8") from None
    if _CONTROL.search(path):
        raise parse_error("the path has control characters")
    return path
