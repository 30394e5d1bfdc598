"""``/v2/accounts/{A}/events?binding=…``: events as they come, for clients without websockets (server-sent events)."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen
from klein import Klein
from klein.app import KleinRequest
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import BindingRefused, IDirectory
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import ApiError, invalid_credentials, validation_error
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.websockets.server.connection_limits import HandshakeRejected
from kazoo_bridge.websockets.server_sent_events import EventStreams
from kazoo_bridge.websockets.subscriptions.subscriptions import BindingUnavailable

_log = Logger()

#: Seconds between two signs of life.
KEEP_ALIVE_INTERVAL = 15.0

_EVENTS = "text/event-stream"
_WORDS = {403: "forbidden", 429: "too_many_requests", 503: "datastore_fault"}


@define(eq=False)
class _RequestTransport:
    """The answer, as a stream writes it."""

    _request: Any
    ended: Deferred[None] = field(init=False, factory=Deferred)

    def write(self, data: bytes) -> None:
        if not self.ended.called:
            self._request.write(data)

    def abort(self, _reason: object = None) -> None:
        if not self.ended.called:
            self.ended.callback(None)


@frozen
class EventStreamResource:
    """Streams of events."""

    clock: Any
    directory: IDirectory
    streams: EventStreams
    node: str

    async def read(self, request: KleinRequest, account_id: str) -> bytes:
        """GET: the events of one or more bindings, until either side has enough."""

        async def handler(exchange: RequestContext) -> Response:
            bindings = list(
                dict.fromkeys(value for name, value in exchange.query if name == "binding" and value)
            )
            if not bindings:
                raise validation_error(
                    {
                        "binding": {
                            "required": {
                                "message": "expected one or more bindings, such as ?binding=call.*.*"
                            }
                        }
                    }
                )
            if exchange.request.method == b"HEAD":
                exchange.start_stream(_EVENTS)
            else:
                await self._stream(exchange, account_id, bindings)
            return Response(None, streamed=True)

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def _stream(self, exchange: RequestContext, account_id: str, bindings: list[str]) -> None:
        request: Any = exchange.request
        wire = _RequestTransport(request)
        request.notifyFinish().addBoth(wire.abort)
        headers = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        peer = request.transport.getPeer()
        if exchange.token is None or exchange.principal is None:
            raise invalid_credentials()
        last_event_id = request.getHeader("Last-Event-ID") or exchange.query.first("last_event_id")
        exchange.start_stream(_EVENTS)
        request.setHeader("X-Accel-Buffering", "no")  # a proxy that collects answers would hold events back
        try:
            stream = await self.streams.open(
                wire,
                (str(getattr(peer, "host", "local")), int(getattr(peer, "port", 0))),
                headers,
                (exchange.token, exchange.principal),
                account_id,
                bindings,
                last_event_id,
            )
        except BindingUnavailable as error:
            raise ApiError(503, _WORDS[503], {"message": "; ".join(map(str, error.args))}) from None
        except BindingRefused as error:
            raise validation_error(
                {"binding": {"enum": {"message": "; ".join(map(str, error.args)), "cause": bindings}}}
            ) from None
        except HandshakeRejected as error:
            raise ApiError(
                error.status, _WORDS.get(error.status, "forbidden"), {"message": error.reason}
            ) from None
        living = LoopingCall(stream.keep_alive)
        living.clock = self.clock
        living.start(KEEP_ALIVE_INTERVAL, now=False).addErrback(_unexpected)
        request.registerProducer(stream.producer, True)
        try:
            await wire.ended
        finally:
            living.stop()
            stream.closed()
            if request.channel is not None:  # the client is still there
                request.unregisterProducer()

    def route(self, app: Klein) -> None:
        """Put the resource on its path."""
        app.route("/v2/accounts/<account_id>/events", methods=["GET"])(self.read)


def _unexpected(failure: Failure) -> None:
    _log.failure("a stream could not be kept alive", failure)
