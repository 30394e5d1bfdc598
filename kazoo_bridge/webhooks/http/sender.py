"""Sends a request and reads the response, bounded in time and memory whatever the receiver does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen
from hyperlink import DecodedURL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from kazoo_bridge import __version__
from kazoo_bridge.webhooks.egress.http_connection import VALID_STATUSES
from kazoo_bridge.webhooks.egress.own_faults import OwnWaitCancelled, WaitTimedOut
from kazoo_bridge.webhooks.http.body_producer import BytesProducer
from kazoo_bridge.webhooks.http.error_messages import describe_error
from kazoo_bridge.webhooks.http.faults import UNREACHABLE_ERRORS, Fault, fault_of
from kazoo_bridge.webhooks.http.http_request import HookRequest, is_success
from kazoo_bridge.webhooks.http.redirects import RedirectRefused, is_redirect, redirect

_log = Logger()

#: The part of a response's body that is read. Reading up to it lets the connection be used again; a longer
#: body closes the connection.
MAX_BODY_BYTES = 64 * 1024

#: Sent unless the hook sets another ``User-Agent``.
USER_AGENT = f"kazoo-bridge/{__version__}"

#: treq requires a URL; `FixedUrlAgent` replaces it.
_PLACEHOLDER_URL = DecodedURL.from_text("http://hook.invalid/")


@frozen
class Outcome:
    """The result of one attempt.

    `status` is the response's status code, None if no complete head was received. `error` says what failed,
    for the hook's owner; it is empty when the status alone decides. `headers` are those of the response, and
    `body` is the part of its body that was read, at most `MAX_BODY_BYTES`; both stay out of the repr.
    `fault` says whose fault a failure is. `unreachable`: by the receiver's fault there was no connection to
    the host of the hook's URI.
    """

    success: bool
    status: int | None = None
    error: str = ""
    fault: Fault = field(default=Fault.RECEIVER, kw_only=True)
    unreachable: bool = field(default=False, kw_only=True)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def counts_against_hook(self) -> bool:
        """True for a failure of the receiver or the hook; False for a success and this node's faults."""
        return not self.success and self.fault is Fault.RECEIVER

    @property
    def connection_failed(self) -> bool:
        """True if no response was received."""
        return self.status is None


@frozen
class Sender:
    """Sends requests, one attempt each.

    `request_timeout` is in seconds and covers one attempt: connecting, all redirects, and reading the
    response; a request's own time-out overrides it. `keep_success_headers` is false where nothing records the
    headers of successful responses, which are then not collected. `max_redirects` is the number of redirects
    that are followed; with 0 a redirect is a response like any other.
    """

    _clock: IReactorTime
    _agent: IAgent
    request_timeout: float
    keep_success_headers: bool = True
    max_redirects: int = 0

    async def send(self, request: HookRequest) -> Outcome:
        """Send `request` and return the result.

        Whatever the receiver, the network or the egress policy does is an unsuccessful `Outcome`, not an
        exception. So is a defect of this program, which is logged. Cancelling closes the connection and
        raises CancelledError.
        """
        timeout = self.request_timeout if request.timeout is None else request.timeout
        attempt = Deferred.fromCoroutine(self._follow(request))
        attempt.addTimeout(timeout, self._clock, onTimeoutCancel=_timed_out)
        try:
            return await attempt
        except TimeoutError:
            return Outcome(False, error=f"no complete answer within {timeout:g} s")
        except CancelledError:
            raise
        except Exception as error:
            fault = fault_of(error)
            if fault is Fault.DEFECT:
                _log.failure("sending a request failed unexpectedly")
            unreachable = fault is Fault.RECEIVER and isinstance(error, UNREACHABLE_ERRORS)
            return Outcome(False, error=describe_error(error), fault=fault, unreachable=unreachable)

    async def _follow(self, request: HookRequest) -> Outcome:
        exchange = self._exchange
        for _ in range(self.max_redirects):
            outcome, location = await exchange(request)
            if outcome.success or outcome.status is None or not is_redirect(outcome.status):
                return outcome
            try:
                request = redirect(request, outcome.status, location)
            except RedirectRefused as refused:
                return evolve(outcome, error=describe_error(refused))
            exchange = self._exchange_redirected
        outcome, _ = await exchange(request)
        if outcome.success or outcome.status is None:
            return outcome
        if self.max_redirects and is_redirect(outcome.status):
            return evolve(outcome, error=f"more redirects than {self.max_redirects}")
        return outcome

    async def _exchange_redirected(self, request: HookRequest) -> tuple[Outcome, str | None]:
        """Like `_exchange`; but that this host is unreachable says nothing about that of the hook's URI."""
        try:
            return await self._exchange(request)
        except UNREACHABLE_ERRORS as error:
            return Outcome(False, error=describe_error(error), fault=fault_of(error)), None

    async def _exchange(self, request: HookRequest) -> tuple[Outcome, str | None]:
        """Send one request; return the result, and the ``Location`` header if there is exactly one."""
        # treq rewrites URLs and cannot take IPv6 hosts, so the agent below it puts the exact URL on the wire.
        # A client for each request is cheap, and no cookie survives it.
        response = await HTTPClient(FixedUrlAgent(self._agent, request.url.encode("ascii"))).request(
            request.method,
            _PLACEHOLDER_URL,
            headers=_encode_headers(request.headers),
            data=BytesProducer(request.body) if request.body else None,
            allow_redirects=False,
            unbuffered=True,
        )
        body, error = bytearray(), ""
        try:
            await read_prefix(response, body)
        except ResponseFailed as failed:
            error = describe_error(failed)
        if response.code not in VALID_STATUSES:
            return Outcome(False, error="the answer is not HTTP/1.1: it has no status"), None
        success = is_success(request, response.code)
        headers = {} if success and not self.keep_success_headers else _decode_headers(response.headers)
        locations = response.headers.getRawHeaders("Location", [])
        outcome = Outcome(success, response.code, "" if success else error, headers, bytes(body))
        return outcome, locations[0] if len(locations) == 1 else None


def _encode_headers(headers: Mapping[str, str]) -> Headers:
    encoded = Headers({name: [value] for name, value in headers.items()})
    if not encoded.hasHeader("User-Agent"):
        encoded.setRawHeaders("User-Agent", [USER_AGENT])
    return encoded


def _timed_out(result: Outcome | Failure, _timeout: float) -> Outcome | Failure:
    # Cancelling can fail with any error of the cancelled step, not only with CancelledError.
    if not isinstance(result, Failure):
        return result
    return Failure(WaitTimedOut() if result.check(OwnWaitCancelled) else TimeoutError())


def _decode_headers(headers: Headers) -> dict[str, str]:
    """Return the headers as text, without the empty Content-Encoding that Twisted's decoding leaves."""
    joined = ((name, b", ".join(values)) for name, values in headers.getAllRawHeaders())
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in joined
        if value or name.lower() != b"content-encoding"
    }


@implementer(IAgent)
@frozen
class FixedUrlAgent:
    """Requests exactly `url`, whatever URI it is given, and neither requests nor decodes compression."""

    agent: IAgent
    url: bytes

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request like `IAgent.request`, to `url` instead of `uri`."""
        if headers is not None:
            headers.removeHeader(b"Accept-Encoding")
        response: Deferred[IResponse] = self.agent.request(method, self.url, headers, bodyProducer)
        return response.addCallback(_without_decoding)


def _without_decoding(response: IResponse) -> IResponse:
    # A small compressed body can decode to gigabytes.
    response.headers.removeHeader(b"Content-Encoding")
    return response


def read_prefix(response: IResponse, body: bytearray) -> Deferred[None]:
    """Read at most `MAX_BODY_BYTES` of the response's body into `body`.

    Fires when the body is complete or the limit is reached; the latter closes the connection. Fails with
    `ResponseFailed` if the body ends early; `body` then holds what was received. Cancelling closes the
    connection.
    """
    reader = _PrefixReader(body)
    response.deliverBody(reader)
    return reader.done


class _PrefixReader(Protocol):
    """Collects a body until its end or the limit, whichever is first."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self.done: Deferred[None] = Deferred(lambda _: self._close())

    def dataReceived(self, data: bytes) -> None:
        self._body.extend(data[: MAX_BODY_BYTES - len(self._body)])
        if len(self._body) >= MAX_BODY_BYTES and not self.done.called:
            self._close()
            self.done.callback(None)

    def _close(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(None)
        else:
            self.done.errback(reason)
