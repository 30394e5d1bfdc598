"""One HTTP request with its identity, query and body, and its response in KAZOO's envelope."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import unquote

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from kazoo_bridge import __version__
from kazoo_bridge.interfaces import IDirectory, Principal, StorageUnavailable
from kazoo_bridge.json_writer import write_json
from kazoo_bridge.rest.http.errors import (
    ApiError,
    bad_identifier,
    forbidden,
    invalid_credentials,
    parse_error,
    restricted,
    to_api_error,
    unspecified_fault,
)
from kazoo_bridge.rest.http.etags import is_not_modified
from kazoo_bridge.rest.http.pagination import DEFAULT_MAX_PAGE_BYTES
from kazoo_bridge.rest.http.query import Query
from kazoo_bridge.rest.http.request_body import (
    ANONYMOUS,
    AUTHENTICATED,
    READING_METHODS,
    may_carry_method,
    parse_body,
    parse_method,
)
from kazoo_bridge.token_access import may_access

_log = Logger()

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,64}")

CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": (
        "Content-Type, Depth, User-Agent, X-Http-Method-Override, X-File-Size, X-Requested-With, "
        "If-Modified-Since, X-File-Name, Cache-Control, X-Auth-Token, X-Kazoo-Cluster-ID, If-Match, "
        "If-None-Match, Authorization"
    ),
    "Access-Control-Allow-Methods": "GET, PUT, POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Expose-Headers": "Content-Type, X-Auth-Token, X-Request-ID, ETag, Location, Retry-After",
    "Access-Control-Max-Age": "86400",
}


@frozen
class Response:
    """A handler's successful response.

    `data` is the envelope's ``data``, and `metadata` are further keys of the envelope. `revision` is that of
    the document in `data`. `streamed`: the handler has written the whole response itself.
    """

    data: Any
    status: int = 200
    revision: str | None = None
    metadata: Mapping[str, Any] = field(factory=dict)
    streamed: bool = False


@define(eq=False)
class RequestContext:
    """A request as handlers see it.

    `node` is the name of this node in responses, and `clock` gives their timestamps. `on_authenticated` is
    called with each token that is tried, and the id of its account, or None if the token is not valid.
    `max_page_bytes`: see `Paginator`. `on_charged` is called with an account's id and what `charge` charges,
    `on_excess` when `note_excess` is. A request that may have written something is answered once `on_written`
    has returned.

    Until the client is authenticated, only bodies within the limits `ANONYMOUS` are parsed.
    """

    request: IRequest
    node: str
    _clock: IReactorTime
    _on_authenticated: Callable[[str, str | None], None] = lambda _token, _account_id: None
    max_page_bytes: int = DEFAULT_MAX_PAGE_BYTES
    _on_charged: Callable[[str, int], None] = lambda _account_id, _cost: None
    _on_excess: Callable[[], None] = lambda: None
    _on_written: Callable[[], Awaitable[None]] | None = None
    request_id: str = field(init=False)
    started_at: float = field(init=False)
    token: str | None = field(init=False, default=None, repr=False)
    principal: Principal | None = field(init=False, default=None)
    query: Query = field(init=False, factory=Query, repr=False)
    _has_body: bool = field(init=False)
    _body: Mapping[str, Any] | ApiError | None = field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        given = self.request.getHeader(b"x-request-id") or b""
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        self.started_at = self._clock.seconds()
        # Of the method in the request line: a POST that carries another method still has a body.
        self._has_body = self.request.method not in READING_METHODS

    @property
    def path(self) -> str:
        """The request's path, without the query and not decoded."""
        return str(self.request.path, "utf-8", "replace")

    def parse_query(self) -> None:
        """Parse the query of the request's URI into `query`; raises a parse error."""
        self.query = Query.parse(self.request.uri)

    async def when_written(self) -> None:
        """Wait until other processes know what the request may have written."""
        if self._on_written is not None and self._has_body:
            await self._on_written()

    @property
    def envelope(self) -> Mapping[str, Any]:
        """The JSON object of the body, empty if the request has none. Parsed once.

        Raises a parse error, a validation error, or 413; see `parse_body`.
        """
        if self._body is None:
            limits = ANONYMOUS if self.principal is None else AUTHENTICATED
            try:
                self._body = parse_body(self.request.content, limits) if self._has_body else {}
            except ApiError as error:
                self._body = error
        if isinstance(self._body, ApiError):
            raise self._body
        return self._body

    @property
    def data(self) -> dict[str, Any]:
        """The ``data`` object of the body; raises a parse error if the body has none."""
        data = self.envelope.get("data")
        if not isinstance(data, dict):
            raise parse_error('expected a body of the form {"data": {…}}')
        return data

    def find_value(self, name: str) -> object:
        """Return the value of a key in ``data``, else in the query, else beside ``data``; None without.

        KAZOO looks for its switches in this order (``cb_context:req_value``).
        """
        data = self.envelope.get("data")
        candidates = (
            data.get(name) if isinstance(data, dict) else None,
            self.query.first(name),
            self.envelope.get(name),
        )
        return next((value for value in candidates if value is not None), None)

    def overridden_method(self) -> str | None:
        """Return the method that a POST carries as ``verb`` in the query, else beside ``data``; None without.

        Raises 405 for a value that is not a method. A body that cannot be parsed carries no method.
        """
        if self.request.method != b"POST":
            return None
        carried: object = self.query.first("verb")
        if carried is None and may_carry_method(self.request.content):
            try:
                carried = self.envelope.get("verb")
            except ApiError:
                return None  # the handler raises it
        return None if carried is None else parse_method(carried)

    @property
    def must_authenticate_first(self) -> bool:
        """Whether a method that the body may carry can only be read once the client is authenticated."""
        if (
            self.request.method != b"POST"
            or self.header_token() is None
            or self.query.first("verb") is not None
        ):
            return False
        if not may_carry_method(self.request.content):
            return False
        try:
            _ = self.envelope
        except ApiError:
            return True
        return False

    def header_token(self) -> str | None:
        """Return the token of ``X-Auth-Token``, else ``Authorization: Bearer``, else ``?auth_token=``."""
        header = self._header_text(b"x-auth-token")
        if header:
            return header.strip()
        scheme, _, bearer = self._header_text(b"authorization").partition(" ")
        if scheme.lower() == "bearer" and bearer:
            return bearer.strip()
        return self.query.first("auth_token") or None

    async def authenticate(
        self, directory: IDirectory, *, method_is_known: bool = True, token: str | None = None
    ) -> None:
        """Set `token` and `principal` from the request's token; raises 401 without a valid one.

        Raises 403 for a token with restrictions that do not allow this request, once its method is known.

        The token may also be ``auth_token`` in the body, beside ``data`` or in it; then the errors of
        `envelope` are raised, too. `token`: this one instead of the request's.
        """
        if token is None:
            token = self.header_token()
        if token is None:
            token = self._body_token()
        if not token:
            raise invalid_credentials()
        principal = await directory.authenticate(token)
        self._on_authenticated(token, None if principal is None else principal.account_id)
        if principal is None:
            raise invalid_credentials()
        if method_is_known and not await self._is_allowed(directory, principal):
            raise restricted()
        self.token, self.principal = token, principal
        if isinstance(self._body, ApiError):
            self._body = None  # an authenticated client may send more

    async def authenticate_optional(self, directory: IDirectory) -> None:
        """Set `token` and `principal` if the request has a valid token; ignores any other."""
        with suppress(ApiError, StorageUnavailable):
            await self.authenticate(directory)

    async def authorize(self, directory: IDirectory, account_id: str) -> None:
        """Check that the principal may act for the account (else 403) and that it exists (else 404)."""
        if self.principal is None or not await directory.can_act_for(self.principal, account_id):
            raise forbidden()
        if await directory.account(account_id) is None:
            raise bad_identifier(account_id)

    def charge(self, cost: int) -> None:
        """Charge the client's account for as much more time as `cost` reads take; its next requests wait."""
        if self.principal is not None and cost:
            self._on_charged(self.principal.account_id, cost)

    def note_excess(self) -> None:
        """Count the request against the client's address, although it is answered in any case."""
        self._on_excess()

    @property
    def base_uri(self) -> str:
        """Where the client reaches this service, such as ``https://host:8000``."""
        scheme = "https" if self.request.isSecure() else "http"
        return f"{scheme}://{self._header_text(b'host') or 'localhost'}"

    @property
    def is_superadmin(self) -> bool:
        """Whether a super-admin sent the request."""
        return self.principal is not None and self.principal.superadmin

    def write(self, response: Response) -> bytes:
        """Set status and headers of a successful response; returns its body, empty for 304 and streams."""
        if response.streamed:
            return b""
        revision = response.revision
        if revision is None:
            self._set_head(response.status)
            return self._encode(response.data, "success", response.metadata)
        not_modified = is_not_modified(self.request, revision)
        self._set_head(304 if not_modified else response.status)
        self.request.setHeader("ETag", f'"{revision}"')
        if not_modified:
            return b""
        return self._encode(response.data, "success", {**response.metadata, "revision": revision})

    def start_stream(self, content_type: str) -> None:
        """Set status and headers of a response that the handler writes piece by piece."""
        self._set_head(200)
        self.request.setHeader("Content-Type", content_type)

    def write_error(self, error: ApiError) -> bytes:
        """Set status and headers of an error; returns its body."""
        self._set_head(error.status)
        for name, value in error.headers.items():
            self.request.setHeader(name, value)
        return self._encode(error.data, "error", {"error": str(error.status), "message": error.word})

    def _header_text(self, name: bytes) -> str:
        # Bytes that are not UTF-8 become text that no valid token equals.
        value: bytes = self.request.getHeader(name) or b""
        return value.decode("utf-8", "replace")

    async def _is_allowed(self, directory: IDirectory, principal: Principal) -> bool:
        """Return whether the restrictions of the token allow the request."""
        path = unquote(self.path).strip("/")
        version, *segments = path.split("/")
        # A slash within a segment would make other segments than those that are matched.
        is_plain = version == "v2" and "%2f" not in self.path.lower()
        if principal.restrictions is not None and not is_plain:
            return False
        return await may_access(directory, principal, self.request.method.decode("latin-1"), segments)

    def _body_token(self) -> str | None:
        data = self.envelope.get("data")
        for source in (self.envelope, data if isinstance(data, dict) else {}):
            token = source.get("auth_token")
            if isinstance(token, str):
                return token
        return None

    def _set_head(self, status: int) -> None:
        self.request.setResponseCode(status)
        for name, value in CORS_HEADERS.items():
            self.request.setHeader(name, value)
        self.request.setHeader("Content-Type", "application/json")
        self.request.setHeader("Cache-Control", "no-store")
        self.request.setHeader("X-Request-ID", self.request_id)

    def _encode(self, data: Any, status: str, metadata: Mapping[str, Any]) -> bytes:
        envelope = {
            "data": data,
            **metadata,
            "node": self.node,
            "request_id": self.request_id,
            "status": status,
            "timestamp": datetime.fromtimestamp(self._clock.seconds(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if self.principal is not None:
            envelope["auth_token"] = self.token
            envelope["version"] = __version__
        body = write_json(envelope)
        self.request.setHeader("Content-Length", str(len(body)))
        return body


class RequestWithContext(Protocol):
    """A request to which the root resource has attached its context."""

    context: RequestContext


async def handle_request(
    context: RequestContext, handler: Callable[[RequestContext], Awaitable[Response]]
) -> bytes:
    """Run `handler`; returns the body of its response, or of the error that it raises."""
    try:
        response = await handler(context)
        await context.when_written()
        return context.write(response)
    except CancelledError:
        raise  # the client has disconnected
    except Exception as error:
        return context.write_error(to_logged_api_error(error, context.request_id))


def to_logged_api_error(error: Exception, request_id: str) -> ApiError:
    """Return the answer for any error of a request; logs errors that are not the client's."""
    api_error = to_api_error(error)
    if api_error is None:
        _log.failure("request failed request_id={request_id}", request_id=request_id)
        return unspecified_fault(request_id)
    if isinstance(error, StorageUnavailable):
        _log.error(
            "request failed request_id={request_id} reason={reason}", request_id=request_id, reason=error
        )
    return api_error
