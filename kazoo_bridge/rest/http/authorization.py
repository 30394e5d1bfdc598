"""Decorators that make a resource's method a request handler: for any client, or for one account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.rest.http.request_context import (
    RequestContext,
    RequestWithContext,
    Response,
    handle_request,
)


class HasDirectory(Protocol):
    """A resource that can authenticate clients."""

    @property
    def directory(self) -> IDirectory:
        """The source of accounts and tokens."""


R = TypeVar("R")
D = TypeVar("D", bound=HasDirectory)
P = ParamSpec("P")


def open_handler(
    method: Callable[Concatenate[R, RequestContext, P], Awaitable[Response]],
) -> Callable[Concatenate[R, RequestWithContext, P], Coroutine[Any, Any, bytes]]:
    """Make a method ``(self, context, …) -> Response`` a handler that Klein calls with a request.

    The method may authenticate the client with the context; any client may call it. The body is parsed
    before, within the limits of a client that is not authenticated. Errors that the method raises are
    answered as `handle_request` says.
    """

    @wraps(method)
    async def parsed(self: R, context: RequestContext, /, *args: P.args, **kwargs: P.kwargs) -> Response:
        _ = context.envelope
        return await method(self, context, *args, **kwargs)

    return _make_handler(parsed)


def account_handler(
    method: Callable[Concatenate[D, RequestContext, str, P], Awaitable[Response]],
) -> Callable[Concatenate[D, RequestWithContext, str, P], Coroutine[Any, Any, bytes]]:
    """Make a method ``(self, context, account_id, …) -> Response`` a handler for one account.

    The client is answered 401 without a valid token, 403 if it may not act for the account in the path, and
    404 if that account does not exist. The body is parsed once the client is authenticated, or before, within
    smaller limits, to find the token there.
    """

    @wraps(method)
    async def authorized(self: D, context: RequestContext, /, *args: Any, **path: Any) -> Response:
        await context.authenticate(self.directory)
        _ = context.envelope  # a wrong body is refused whatever the path
        await context.authorize(
            self.directory, path["account_id"]
        )  # Klein passes the parts of a path by name
        return await method(self, context, *args, **path)

    return _make_handler(authorized)


def _make_handler(
    method: Callable[Concatenate[R, RequestContext, P], Awaitable[Response]],
) -> Callable[Concatenate[R, RequestWithContext, P], Coroutine[Any, Any, bytes]]:
    @wraps(method)
    async def handle(self: R, request: RequestWithContext, /, *args: P.args, **kwargs: P.kwargs) -> bytes:
        return await handle_request(request.context, lambda context: method(self, context, *args, **kwargs))

    return handle
