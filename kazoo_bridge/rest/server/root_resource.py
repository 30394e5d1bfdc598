"""The root of the site: creates a request's context, counts it, and hands it to the routed resource."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast
from urllib.parse import unquote_to_bytes

from klein import Klein
from klein.resource import KleinResource
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.log_context import log_fields
from kazoo_bridge.rest.http.errors import (
    ApiError,
    bad_identifier,
    invalid_method,
    parse_error,
    storage_fault,
    too_many_connections,
    too_many_requests,
)
from kazoo_bridge.rest.http.query import refuse_broken_escapes
from kazoo_bridge.rest.http.rate_limit import WRITE_COST, RequestLimiter
from kazoo_bridge.rest.http.request_body import METHODS, READING_METHODS
from kazoo_bridge.rest.http.request_context import CORS_HEADERS, RequestContext, to_logged_api_error
from kazoo_bridge.rest.resources.operational import ALIVE_PATH, METRICS_PATH, READY_PATH
from kazoo_bridge.rest.resources.pivot_door import is_door
from kazoo_bridge.rest.server.http_channel import LimitedRequest

#: Paths that proxies may hide: they have one spelling only.
MONITORING_PATHS = (ALIVE_PATH, READY_PATH, METRICS_PATH)

_CONTROL_CHARACTER = re.compile("[\x00-\x1f\x7f]")
_KNOWN_METHODS = (b"HEAD", *(method.encode() for method in METHODS))


class RootResource(Resource):
    """Refuses requests that cannot be routed, answers OPTIONS, and applies the method that a POST carries.

    `app` has the routes, `node` is the node's name in responses, `directory` knows the clients, `limiter`
    limits requests, and `clock` gives the timestamps of responses. `max_page_bytes`: see
    `Paginator`. While `is_starting` returns True, all requests but those of monitoring are answered with 503.
    `on_written`: see `RequestContext`.
    """

    isLeaf = True

    def __init__(
        self,
        app: Klein,
        node: str,
        directory: IDirectory,
        limiter: RequestLimiter,
        clock: IReactorTime,
        max_page_bytes: int,
        is_starting: Callable[[], bool] = lambda: False,
        on_written: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__()
        self._routes = app.url_map.bind("localhost")
        self._routed = KleinResource(app)
        self._node = node
        self._directory = directory
        self._limiter = limiter
        self._clock = clock
        self._max_page_bytes = max_page_bytes
        self._is_starting = is_starting
        self._on_written = on_written

    def render(self, request: LimitedRequest) -> bytes | int:
        """Answer the request, or route it."""
        request.context = context = RequestContext(
            request,
            self._node,
            self._clock,
            self._limiter.on_authenticated,
            self._max_page_bytes,
            self._limiter.charge,
            partial(self._note_excess, request),
            self._on_written,
        )
        with log_fields(request_id=context.request_id):
            return self._render(request, context)

    def _render(self, request: LimitedRequest, context: RequestContext) -> bytes | int:
        try:
            try:
                path = _decode_path(request.path)
                context.parse_query()
            except ApiError:
                self._note_excess(request)
                raise
            if request.method == b"OPTIONS":
                self._note_excess(request)
                return self._answer_options(request, path)
            is_pivot = is_door(request.method, path)
            if not is_pivot:
                self._count(request, path)
            if path not in MONITORING_PATHS and self._is_starting():
                raise storage_fault()
            if is_pivot:
                # Never a method in a POST; its secret is checked, and a wrong one counted, by the resource.
                return self._route(request)
            if context.must_authenticate_first:
                self._route_once_authenticated(request, path)
                return NOT_DONE_YET
            self._override_method(request, path)
        except ApiError as error:
            return context.write_error(error)
        return self._route(request)

    def _count(self, request: LimitedRequest, path: str) -> None:
        peer = request.getClientAddress()
        if path == ALIVE_PATH:
            self._note_excess(request)
            return
        if request.is_surplus and path != READY_PATH:
            raise too_many_connections()
        if path in MONITORING_PATHS:
            seconds = self._limiter.take_monitoring(peer)
        else:
            cost = 1 if request.method in READING_METHODS else WRITE_COST
            seconds = self._limiter.take(request.context.header_token(), peer, cost)
        if seconds:
            request.exceeds_rate = True
            raise too_many_requests(seconds, "requests")

    def _note_excess(self, request: LimitedRequest) -> None:
        """Count a request that is answered in any case: a refusal would cost as much."""
        request.exceeds_rate = self._limiter.exceeds(request.getClientAddress())

    def _override_method(self, request: LimitedRequest, path: str) -> None:
        if (method := request.context.overridden_method()) is not None:
            request.method = method.encode()
        if request.method not in _KNOWN_METHODS:
            raise invalid_method(self._allowed_methods(path) or METHODS)

    def _route(self, request: LimitedRequest) -> bytes | int:
        if request.postpath and request.postpath[1:] and not request.postpath[-1]:
            request.postpath.pop()  # like KAZOO, ignore a slash at the end
        return cast("bytes | int", self._routed.render(request))

    def _route_once_authenticated(self, request: LimitedRequest, path: str) -> None:
        """Route a request whose body, too large for a stranger, has to be parsed before it is routed."""
        working = Deferred.fromCoroutine(self._authenticate(request, path))
        request.notifyFinish().addErrback(lambda _: working.cancel())
        working.addErrback(_ignore_cancellation)

    async def _authenticate(self, request: LimitedRequest, path: str) -> None:
        context = request.context
        answer: bytes | int
        try:
            await context.authenticate(self._directory, method_is_known=False)
            self._override_method(request, path)
            answer = self._route(request)
        except CancelledError:
            raise
        except Exception as error:
            answer = context.write_error(to_logged_api_error(error, context.request_id))
        if isinstance(answer, bytes):
            request.write(answer)
            request.finish()

    def _answer_options(self, request: LimitedRequest, path: str) -> bytes:
        for name, value in CORS_HEADERS.items():
            request.setHeader(name, value)
        request.setHeader("Allow", ", ".join(sorted({*self._allowed_methods(path), "OPTIONS"})))
        return b""

    def _allowed_methods(self, path: str) -> list[str]:
        return sorted(self._routes.allowed_methods(path.rstrip("/") or "/"))


def _decode_path(raw: bytes) -> str:
    """Return the decoded path.

    Raises a parse error if it does not begin with a slash, is not UTF-8 or has control characters, and 404
    for empty segments and for other spellings of `MONITORING_PATHS`: a proxy that hides a path knows one
    spelling of it.
    """
    refuse_broken_escapes(raw, "path")
    if not raw.startswith(b"/") and raw != b"*":
        raise parse_error("the path does not begin with a slash")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise parse_error("the path is not UTF-8") from None
    if _CONTROL_CHARACTER.search(path):
        raise parse_error("the path has control characters")
    is_monitoring = "/" + path.strip("/") in MONITORING_PATHS
    if b"//" in raw or (is_monitoring and raw.decode("latin-1") not in MONITORING_PATHS):
        raise bad_identifier(raw.decode("utf-8", "replace"))
    return path


def _ignore_cancellation(failure: Failure) -> None:
    failure.trap(CancelledError)  # the client has disconnected
