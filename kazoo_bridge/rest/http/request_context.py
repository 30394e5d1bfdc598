"""One HTTP request and its answer, in KAZOO's envelope."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from attrs import define, field, frozen
from klein.app import KleinRequest
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.web.iweb import IRequest

from kazoo_bridge import __version__
from kazoo_bridge.interfaces import IDirectory, Principal, StorageUnavailable
from kazoo_bridge.rest.http.auth_token import auth_token
from kazoo_bridge.rest.http.errors import (
    ApiError,
    forbidden,
    invalid_credentials,
    parse_error,
    precondition_failed,
    storage_fault,
)
from kazoo_bridge.rest.http.etags import EntityTags
from kazoo_bridge.rest.http.query import Query
from kazoo_bridge.rest.http.request_body import parse
from kazoo_bridge.rest.server.http_request import LimitedRequest

_log = Logger()

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,64}")
_READING = (b"GET", b"HEAD", b"OPTIONS")

CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": (
        "Content-Type, Depth, User-Agent, X-Http-Method-Override, X-File-Size, X-Requested-With, If-Modified-Since, X-File-Name, "
        "Cache-Control, X-Auth-Token, X-Kazoo-Cluster-ID, If-Match, If-None-Match, Authorization"
    ),
    "Access-Control-Allow-Methods": "GET, PUT, POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Expose-Headers": "Content-Type, X-Auth-Token, X-Request-ID, ETag, Location, Retry-After",
    "Access-Control-Max-Age": "86400",
}


@frozen
class Response:
    """What a handler has to say: the envelope's ``data``, and what goes beside it. `streamed`: it has written all of it already."""

    data: Any
    status: int = 200
    revision: str | None = None
    more: Mapping[str, Any] = field(factory=dict)
    streamed: bool = False


@define
class RequestContext:
    """A request as handlers see it."""

    request: IRequest
    node: str
    request_id: str = field(init=False)
    token: str | None = field(init=False, default=None, repr=False)
    principal: Principal | None = field(init=False, default=None)
    envelope: Mapping[str, Any] = field(init=False, factory=dict, repr=False)
    query: Query = field(init=False, factory=Query, repr=False)

    def __attrs_post_init__(self) -> None:
        given = self.request.getHeader(b"x-request-id") or b""
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)

    @property
    def data(self) -> dict[str, Any]:
        """The ``data`` object of the request's body; raises a parse error when there is none."""
        data = self.envelope.get("data")
        if not isinstance(data, dict):
            raise parse_error('expected a body of the form {"data": {…}}')
        return data

    @property
    def path(self) -> str:
        """The request's path, without the query."""
        return str(self.request.path, "utf-8", "replace")

    def read(self) -> None:
        """Parse the query and, where there is one, the body; raises what they are refused with."""
        self.query = Query.parse(self.request.uri)
        if self.request.method not in _READING or getattr(self.request, "tunnelled", False):
            self.envelope = parse(self.request.content)

    async def authenticate(self, directory: IDirectory) -> None:
        """Find the principal; raises 401 when there is no good token."""
        self.token = self._given_token()
        self.principal = await directory.authenticate(self.token) if self.token else None
        if self.principal is None:
            self.token = None
            raise invalid_credentials()
        if self.token is not None and isinstance(self.request, LimitedRequest):
            self.request.mark_token_valid(self.token)

    async def authenticate_optional(self, directory: IDirectory) -> None:
        """Find the principal where a good token is given, for what is open to anybody; any other token is ignored."""
        try:
            await self.authenticate(directory)
        except (ApiError, StorageUnavailable):
            self.token = None

    async def authorize(self, directory: IDirectory, account_id: str) -> None:
        """Raises 403 when the principal may not act for the account."""
        if self.principal is None or not await directory.can_act_for(self.principal, account_id):
            raise forbidden()

    def check_preconditions(self, revision: str) -> None:
        """Raises 412 when the request is meant for another revision than this, which the document has just now."""
        wanted, unwanted = self._tags("If-Match"), self._tags("If-None-Match")
        if (wanted is not None and not wanted.has_exactly(revision)) or (
            unwanted is not None and unwanted.has(revision)
        ):
            raise precondition_failed()

    def _tags(self, header: str) -> EntityTags | None:
        values = self.request.requestHeaders.getRawHeaders(header.encode())
        return None if values is None else EntityTags.parse(b", ".join(values).decode("utf-8", "replace"))

    def _authenticate(self, revision: str | None) -> bool:
        tags = self._tags("If-None-Match") if self.request.method in (b"GET", b"HEAD") else None
        return revision is not None and tags is not None and tags.has(revision)

    def _given_token(self) -> str | None:
        in_head = auth_token(self.request, self.query)
        if in_head is not None:
            return in_head
        data = self.envelope.get("data")
        places = (self.envelope, data if isinstance(data, dict) else {})
        return next((token for place in places if isinstance(token := place.get("auth_token"), str)), None)

    def write(self, answer: Response) -> bytes:
        """The successful answer's bytes, none when the client has this revision already; status and headers are set on the request."""
        if answer.streamed:
            return b""
        known = self._authenticate(answer.revision)
        self._head(304 if known else answer.status)
        if answer.revision is not None:
            self.request.setHeader("ETag", f'"{answer.revision}"')
        if known:
            return b""
        more = dict(answer.more) | ({"revision": answer.revision} if answer.revision is not None else {})
        return self._envelope(answer.data, "success", more)

    def start_stream(self, content_type: str) -> None:
        """Set status and headers of an answer that is written piece by piece."""
        self._head(200)
        self.request.setHeader("Content-Type", content_type)

    def write_error(self, error: ApiError) -> bytes:
        """The refusal's bytes; status and headers are set on the request."""
        self._head(error.status)
        for name, value in error.headers.items():
            self.request.setHeader(name, value)
        return self._envelope(error.data, "error", {"error": str(error.status), "message": error.word})

    def _head(self, status: int) -> None:
        self.request.setResponseCode(status)
        for name, value in CORS_HEADERS.items():
            self.request.setHeader(name, value)
        self.request.setHeader("Content-Type", "application/json")
        self.request.setHeader("Cache-Control", "no-store")
        self.request.setHeader("X-Request-ID", self.request_id)

    def _envelope(self, data: Any, status: str, more: Mapping[str, Any]) -> bytes:
        envelope = {
            "data": data,
            **more,
            "node": self.node,
            "request_id": self.request_id,
            "status": status,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if self.principal is not None:
            envelope["auth_token"] = self.token
            envelope["version"] = __version__
        body = orjson.dumps(envelope)
        self.request.setHeader("Content-Length", str(len(body)))
        return body


Handler = Callable[[RequestContext], Awaitable[Response]]


async def handle_request(request: KleinRequest, node: str, handler: Handler) -> bytes:
    """Run `handler` and write what it says, refusals and failures included."""
    exchange = RequestContext(IRequest(request), node)
    try:
        exchange.read()
        return exchange.write(await handler(exchange))
    except ApiError as error:
        return exchange.write_error(error)
    except StorageUnavailable as error:
        _log.error("request {request_id}: {reason}", request_id=exchange.request_id, reason=error)
        return exchange.write_error(storage_fault())
    except CancelledError:
        raise  # the client has gone, and nobody waits for an answer
    except Exception:
        _log.failure("request {request_id} failed", request_id=exchange.request_id)
        data = {
            "message": f"an unexpected error; the operator finds it in the log under {exchange.request_id}"
        }
        return exchange.write_error(ApiError(500, "unspecified_fault", data))
