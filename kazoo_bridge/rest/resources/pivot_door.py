"""``/pivot/{ID}/{SECRET}``: where KAZOO's Pivot asks what to do with a call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from attrs import frozen
from twisted.internet.defer import CancelledError

from kazoo_bridge.interfaces import IPivots, KazooRequest, PivotRefused, PivotReply
from kazoo_bridge.rest.http.errors import ApiError, bad_identifier, parse_error, too_large
from kazoo_bridge.rest.http.request_body import MAX_ANONYMOUS_BODY_BYTES
from kazoo_bridge.rest.http.request_context import RequestContext, RequestWithContext, to_logged_api_error
from kazoo_bridge.rest.http.routing import RoutedResource, route

#: What the path of each pivot point begins with. The secret is the segment after the next.
PIVOT_PATH = "/pivot/"

_POINT = f"{PIVOT_PATH}<pivot_point_id>/<secret>"

_DOOR = re.compile(rf"{PIVOT_PATH}[^/]+/[^/]+(?:/cdr)?")


def is_door(method: bytes, path: str) -> bool:
    """Whether KAZOO's Pivot may send this request: it is limited only after its secret was wrong."""
    return method in (b"GET", b"POST") and _DOOR.fullmatch(path) is not None


@frozen
class PivotDoorResource(RoutedResource):
    """Answers KAZOO with flows, not with envelopes; the secret in the path is the only authentication."""

    pivots: IPivots

    @route("GET", _POINT)
    async def ask_by_query(self, request: RequestWithContext, pivot_point_id: str, secret: str) -> bytes:
        """Answer with a flow, or with nothing."""
        return await self._ask(request.context, pivot_point_id, secret)

    @route("POST", _POINT)
    async def ask_by_form(self, request: RequestWithContext, pivot_point_id: str, secret: str) -> bytes:
        """Answer with a flow, or with nothing."""
        return await self._ask(request.context, pivot_point_id, secret)

    @route("POST", f"{_POINT}/cdr")
    async def take_cdr(self, request: RequestWithContext, pivot_point_id: str, secret: str) -> bytes:
        """Take the CDR of a call that has ended."""

        async def pass_on(sent: KazooRequest) -> PivotReply:
            await self.pivots.call_ended(pivot_point_id, secret, sent)
            return PivotReply(b"")

        return await _handle(request.context, pivot_point_id, pass_on)

    async def _ask(self, context: RequestContext, pivot_point_id: str, secret: str) -> bytes:
        return await _handle(
            context, pivot_point_id, lambda sent: self.pivots.ask(pivot_point_id, secret, sent)
        )


async def _handle(
    context: RequestContext, pivot_point_id: str, answer: Callable[[KazooRequest], Awaitable[PivotReply]]
) -> bytes:
    request = context.request
    try:
        reply = await answer(_parse(context))
    except CancelledError:
        raise  # KAZOO has given up
    except ApiError as error:
        context.note_excess()
        return context.write_error(error)
    except PivotRefused as error:
        # Only a client without a good URL is refused so: it is limited like one that guesses.
        context.note_excess()
        return context.write_error(_to_api_error(error, pivot_point_id))
    except Exception as error:
        return context.write_error(to_logged_api_error(error, context.request_id))
    request.setHeader("Content-Type", reply.content_type if reply.body else "text/plain")
    request.setHeader("Content-Length", str(len(reply.body)))
    request.setHeader("Cache-Control", "no-store")
    return reply.body


def _parse(context: RequestContext) -> KazooRequest:
    content = context.request.content
    content.seek(0)
    body = content.read(MAX_ANONYMOUS_BODY_BYTES + 1)
    if len(body) > MAX_ANONYMOUS_BODY_BYTES:
        raise too_large(MAX_ANONYMOUS_BODY_BYTES)
    address = getattr(context.request.getClientAddress(), "host", "")
    return KazooRequest(context.query.parameters, body, str(address))


def _to_api_error(error: PivotRefused, pivot_point_id: str) -> ApiError:
    match error.status:
        case 400:
            return parse_error(str(error))
        case 404:
            return bad_identifier(pivot_point_id)
    return ApiError(error.status, "forbidden", {"message": str(error)})
