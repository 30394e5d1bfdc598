"""``/v2/accounts/{A}/events?binding=…``: events as server-sent events, for clients without websockets."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    BindingRefused,
    BindingUnavailable,
    HandshakeRejected,
    IDirectory,
    IEventStream,
    IStreamTransport,
    IWebsockets,
    StreamRequest,
)
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import ApiError, invalid_credentials, invalid_field
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_log = Logger()

#: Seconds between two comments that keep a stream open.
KEEP_ALIVE_INTERVAL = 15.0

#: Bindings of a stream that count as another request of the account.
BINDINGS_PER_REQUEST = 10

_CONTENT_TYPE = "text/event-stream"
_ERROR_WORDS = {403: "forbidden", 429: "too_many_requests", 503: "datastore_fault"}


@implementer(IStreamTransport)
@define(eq=False)
class RequestTransport:
    """Writes a stream to the response of a request; `ended` fires when the response has ended."""

    _request: Any
    ended: Deferred[None] = field(init=False, factory=Deferred)

    def write(self, data: bytes) -> None:
        """See `IStreamTransport`."""
        if not self.ended.called:
            self._request.write(data)

    def abort(self) -> None:
        """See `IStreamTransport`."""
        if not self.ended.called:
            self.ended.callback(None)


@frozen
class EventStreamResource(RoutedResource):
    """Streams of events. `clock` runs their keep-alive timers."""

    directory: IDirectory
    websockets: IWebsockets
    clock: Any

    @route("GET", "/v2/accounts/<account_id>/events")
    @account_handler
    async def stream(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the events of one or more bindings, until the client or the service ends the stream."""
        bindings = list(dict.fromkeys(filter(None, context.query.all("binding"))))
        if not bindings:
            message = "expected one or more bindings, such as ?binding=call.*.*"
            raise invalid_field("binding", "required", message)
        if context.request.method == b"HEAD":
            context.start_stream(_CONTENT_TYPE)
        else:
            context.charge(len(bindings) // BINDINGS_PER_REQUEST)
            await self._stream(context, _make_stream_request(context, account_id, bindings))
        return Response(None, streamed=True)

    async def _stream(self, context: RequestContext, stream_request: StreamRequest) -> None:
        request: Any = context.request
        transport = RequestTransport(request)
        request.notifyFinish().addBoth(lambda _: transport.abort())
        context.start_stream(_CONTENT_TYPE)
        request.setHeader("X-Accel-Buffering", "no")  # a proxy that buffers would delay the events
        stream = await self._open(transport, stream_request)
        keep_alive = LoopingCall(stream.keep_alive)
        keep_alive.clock = self.clock
        keep_alive.start(KEEP_ALIVE_INTERVAL, now=False).addErrback(_log_failure)
        request.registerProducer(stream.producer, True)
        try:
            await transport.ended
        finally:
            keep_alive.stop()
            stream.closed()
            if request.channel is not None:  # the client is still connected
                request.unregisterProducer()

    async def _open(self, transport: RequestTransport, stream_request: StreamRequest) -> IEventStream:
        try:
            return await self.websockets.open_stream(transport, stream_request)
        except BindingUnavailable as error:
            raise ApiError(503, _ERROR_WORDS[503], {"message": _joined_text(error)}) from None
        except BindingRefused as error:
            bindings = list(stream_request.bindings)
            raise invalid_field("binding", "enum", _joined_text(error), cause=bindings) from None
        except HandshakeRejected as error:
            word = _ERROR_WORDS.get(error.status, "forbidden")
            raise ApiError(error.status, word, {"message": error.reason}) from None


def _make_stream_request(context: RequestContext, account_id: str, bindings: list[str]) -> StreamRequest:
    if context.token is None or context.principal is None:
        raise invalid_credentials()
    request: Any = context.request
    peer = request.transport.getPeer()
    return StreamRequest(
        account_id=account_id,
        bindings=bindings,
        token=context.token,
        principal=context.principal,
        peer=(str(getattr(peer, "host", "local")), int(getattr(peer, "port", 0))),
        headers={
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        },
        last_event_id=request.getHeader("Last-Event-ID") or context.query.first("last_event_id"),
    )


def _joined_text(error: Exception) -> str:
    return "; ".join(map(str, error.args))


def _log_failure(failure: Failure) -> None:
    _log.failure("keep-alive of an event stream failed", failure)
