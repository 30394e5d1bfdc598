"""Sends a request and reads the response, bounded in time and memory whatever the receiver does."""

from __future__ import annotations

import typing
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from attrs import evolve, field, frozen
from hyperlink import DecodedURL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from kazoo_bridge.body_producer import BytesProducer
from kazoo_bridge.webhooks.egress import ConnectionPool
from kazoo_bridge.webhooks.egress.connection_pool import PooledExchange
from kazoo_bridge.webhooks.egress.own_faults import OwnWaitCancelled, WaitTimedOut
from kazoo_bridge.webhooks.egress.receiver_response import (
    VALID_STATUSES,
    RawHeaders,
    ReceiverResponse,
    end_to_end_headers,
)
from kazoo_bridge.webhooks.http.error_messages import describe_error
from kazoo_bridge.webhooks.http.failure_reasons import (
    INVALID_RESPONSE,
    OTHER,
    TIMEOUT,
    reason_of_error,
    reason_of_status,
)
from kazoo_bridge.webhooks.http.faults import UNREACHABLE_ERRORS, Fault, fault_of
from kazoo_bridge.webhooks.http.fixed_url_agent import FixedUrlAgent, read_prefix
from kazoo_bridge.webhooks.http.http_request import HookRequest, is_success
from kazoo_bridge.webhooks.http.redirects import RedirectRefused, is_redirect, redirect
from kazoo_bridge.webhooks.http.wire_request import WireRequest, encode_headers

_log = Logger()

#: treq requires a URL; `FixedUrlAgent` replaces it.
_PLACEHOLDER_URL = DecodedURL.from_text("http://hook.invalid/")


@frozen
class Outcome:
    """The result of one attempt.

    `status` is the response's status code, None if no complete head was received. `error` says what failed,
    for the hook's owner; it is empty when the status alone decides. `headers` are those of the response, and
    `body` is the part of its body that was read, at most `MAX_BODY_BYTES`; both stay out of the repr.
    `fault` says whose fault a failure is. `unreachable`: by the receiver's fault there was no connection to
    the host of the hook's URI. `error_reason` is the reason in `FAILURE_REASONS` if no response was received.
    """

    success: bool
    status: int | None = None
    error: str = ""
    fault: Fault = field(default=Fault.RECEIVER, kw_only=True)
    unreachable: bool = field(default=False, kw_only=True)
    error_reason: str = field(default=OTHER, kw_only=True, eq=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def counts_against_hook(self) -> bool:
        """True for a failure of the receiver or the hook; False for a success and this node's faults."""
        return not self.success and self.fault is Fault.RECEIVER

    @property
    def failure_reason(self) -> str:
        """Which of `FAILURE_REASONS` a failure has."""
        return self.error_reason if self.status is None else reason_of_status(self.status)

    @property
    def connection_failed(self) -> bool:
        """True if no response was received."""
        return self.status is None


#: Receives the result of `Sender.begin`.
OnOutcome = Callable[[Outcome], None]


#: Successful results of which nothing is recorded.
_SUCCESS = {status: Outcome(True, status) for status in range(200, 300)}


class Exchange(typing.Protocol):
    """A request on its way."""

    def cancel(self) -> None:
        """Close its connection; its result is not reported any more."""


@frozen
class Sender:
    """Sends requests, one attempt each.

    `request_timeout` is in seconds and covers one attempt: connecting, all redirects, and reading the
    response; a request's own time-out overrides it. `keep_success_headers` is false where nothing records the
    headers of successful responses, which are then not collected. `max_redirects` is the number of redirects
    (see `is_redirect`, also for `redirect_bodies`) that are followed; with 0 a redirect is a response like
    any other. `pool` is the agent's: `begin` uses it without the agent.
    """

    _clock: IReactorTime
    _agent: IAgent
    request_timeout: float
    keep_success_headers: bool = True
    max_redirects: int = 0
    _pool: ConnectionPool | None = None
    redirect_bodies: bool = False

    @property
    def persistent(self) -> bool:
        """Whether connections are kept for the next request (see `wire_request`)."""
        return self._pool is None or self._pool.persistent

    async def send(self, request: HookRequest) -> Outcome:
        """Send `request` and return the result.

        Whatever the receiver, the network or the egress policy does is an unsuccessful `Outcome`, not an
        exception. So is a defect of this program, which is logged. Cancelling closes the connection and
        raises CancelledError.
        """
        timeout = self.timeout_of(request)
        return await self._bounded(self._follow(request), timeout, timeout)

    def begin(self, request: WireRequest, done: OnOutcome) -> Exchange:
        """Send `request` and call `done` with the result, which is the same as that of `send`.

        Without `keep_success_headers` the result of a success has no body.

        `done` is called once, and may begin the next request; an exception that it raises is logged. It is
        called after this has returned, unless the sender has no pool. If a connection to the origin is idle,
        the request is written before this returns.

        Returns the exchange; after its `cancel`, `done` is not called.
        """
        if self._pool is None:
            slow = _AgentAttempt(self.timeout_of(request), done)
            slow.start(self._send_source(request))
            return slow
        timeout = self.request_timeout if request.timeout is None else request.timeout
        attempt = _PooledAttempt(self, self._pool, request, timeout, done)
        self._pool.start(attempt)
        return attempt

    async def _send_source(self, request: WireRequest) -> Outcome:
        return await self.send(request.source())

    def timeout_of(self, request: HookRequest | WireRequest) -> float:
        """Return the seconds that an attempt to send `request` may take."""
        return self.request_timeout if request.timeout is None else request.timeout

    def outcome_of(self, request: WireRequest, response: ReceiverResponse) -> Outcome:
        """Return the result of a request that was answered; of a success only what may be recorded."""
        if not self.keep_success_headers and is_success(request, response.status):  # type: ignore[arg-type]
            return _SUCCESS.get(response.status) or Outcome(True, response.status)
        return self._judge(request, response.status, response.error, response.headers, response.body)

    async def follow(self, request: WireRequest, response: ReceiverResponse, seconds: float) -> Outcome:
        """Follow a redirect within `seconds`; return the result like `send`."""
        outcome = self.outcome_of(request, response)
        location = _location(end_to_end_headers(response.headers))
        following = self._follow_redirects(request.source(), outcome, location)
        return await self._bounded(following, seconds, self.timeout_of(request))

    def is_redirected(self, request: HookRequest | WireRequest, outcome: Outcome) -> bool:
        """Return whether the result of `request` is a redirect that may be followed."""
        if outcome.success or outcome.status is None:
            return False
        return is_redirect(request.method, outcome.status, bodies=self.redirect_bodies)

    async def _bounded(
        self, attempt: Coroutine[Any, Any, Outcome], seconds: float, timeout: float
    ) -> Outcome:
        """Return the result of `attempt`, which has `seconds` left of its `timeout`."""
        running = Deferred.fromCoroutine(attempt)
        running.addTimeout(seconds, self._clock, onTimeoutCancel=_timed_out)
        try:
            return await running
        except TimeoutError as error:
            return failed_outcome(error, timeout)
        except CancelledError:
            raise
        except Exception as error:
            return failed_outcome(error, timeout)

    async def _follow(self, request: HookRequest) -> Outcome:
        outcome, location = await self._exchange(request)
        return await self._follow_redirects(request, outcome, location)

    async def _follow_redirects(
        self, request: HookRequest, outcome: Outcome, location: str | None
    ) -> Outcome:
        for _ in range(self.max_redirects):
            if outcome.status is None or not self.is_redirected(request, outcome):
                return outcome
            try:
                request = redirect(request, outcome.status, location)
            except RedirectRefused as refused:
                return evolve(outcome, error=describe_error(refused))
            outcome, location = await self._exchange_redirected(request)
        if self.max_redirects and self.is_redirected(request, outcome):
            return evolve(outcome, error=f"more redirects than {self.max_redirects}")
        return outcome

    async def _exchange_redirected(self, request: HookRequest) -> tuple[Outcome, str | None]:
        """Like `_exchange`; but that this host is unreachable says nothing about that of the hook's URI."""
        try:
            return await self._exchange(request)
        except UNREACHABLE_ERRORS as error:
            reason = reason_of_error(error)
            return (
                Outcome(False, error=describe_error(error), fault=fault_of(error), error_reason=reason),
                None,
            )

    async def _exchange(self, request: HookRequest) -> tuple[Outcome, str | None]:
        """Send one request; return the result, and the ``Location`` header if there is exactly one."""
        # treq rewrites URLs and cannot take IPv6 hosts, so the agent below it puts the exact URL on the wire.
        # A client for each request is cheap, and no cookie survives it.
        response = await HTTPClient(FixedUrlAgent(self._agent, request.url.encode("ascii"))).request(
            request.method,
            _PLACEHOLDER_URL,
            headers=encode_headers(request.headers),
            data=BytesProducer(request.body) if request.body else None,
            allow_redirects=False,
            unbuffered=True,
        )
        body, error = bytearray(), None
        try:
            await read_prefix(response, body)
        except ResponseFailed as failed:
            error = failed
        outcome = self._judge(request, response.code, error, response.headers, bytes(body))
        return outcome, _location(response.headers)

    def _judge(
        self,
        request: HookRequest | WireRequest,
        status: int,
        error: Exception | None,
        headers: Headers | RawHeaders,
        body: bytes,
    ) -> Outcome:
        if status not in VALID_STATUSES:
            text = "the answer is not HTTP/1.1: it has no status"
            return Outcome(False, error=text, error_reason=INVALID_RESPONSE)
        if is_success(request, status):  # type: ignore[arg-type] # a WireRequest has what it looks at
            return Outcome(
                True, status, "", _decode_headers(headers) if self.keep_success_headers else {}, body
            )
        text = "" if error is None else describe_error(error)
        return Outcome(False, status, text, _decode_headers(headers), body)


class _PooledAttempt(PooledExchange):
    """An attempt of `Sender.begin`; a redirect goes on by `Sender.follow`."""

    __slots__ = ("_done", "_following", "_request", "_sender")

    def __init__(
        self, sender: Sender, pool: ConnectionPool, request: WireRequest, timeout: float, done: OnOutcome
    ) -> None:
        super().__init__(pool, request.origin, request.data, timeout, request.method == "HEAD")
        self._sender = sender
        self._request = request
        self._done = done
        self._following: _AgentAttempt | None = None

    def on_response(self, response: ReceiverResponse) -> None:
        sender = self._sender
        try:
            outcome = sender.outcome_of(self._request, response)
        except Exception as error:
            self.on_failure(error)
            return
        if sender.max_redirects and not outcome.success and sender.is_redirected(self._request, outcome):
            self._follow(response)
        else:
            _report(self._done, outcome)

    def on_failure(self, error: BaseException) -> None:
        _report(self._done, failed_outcome(error, self._sender.timeout_of(self._request)))

    def _follow(self, response: ReceiverResponse) -> None:
        clock, timeout = self._pool.clock, self._sender.timeout_of(self._request)
        left = max(0.0, self.started_at + timeout - clock.seconds())
        self._following = _AgentAttempt(timeout, self._done)
        self._following.start(self._sender.follow(self._request, response, left))

    def cancel(self) -> None:
        super().cancel()
        if self._following is not None:
            self._following.cancel()


class _AgentAttempt:
    """An attempt that a coroutine makes. `timeout` is the whole one, in seconds."""

    def __init__(self, timeout: float, done: OnOutcome) -> None:
        self._timeout = timeout
        self._done = done
        self._sending: Deferred[Outcome] | None = None

    def start(self, sending: Coroutine[Any, Any, Outcome]) -> None:
        running = self._sending = Deferred.fromCoroutine(sending)
        running.addBoth(self._report)

    def _report(self, result: Outcome | Failure) -> None:
        if self._sending is None:
            return
        self._sending = None
        if isinstance(result, Failure):
            result = failed_outcome(result.value or CancelledError(), self._timeout)
        _report(self._done, result)

    def cancel(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()


def _report(done: OnOutcome, outcome: Outcome) -> None:
    try:
        done(outcome)
    except Exception:
        _log.failure("the result of a request could not be handled")


def failed_outcome(error: BaseException, timeout: float) -> Outcome:
    """Return the result of a request without a response. `timeout` is the whole one, in seconds."""
    if isinstance(error, TimeoutError):
        return Outcome(False, error=f"no complete answer within {timeout:g} s", error_reason=TIMEOUT)
    fault = fault_of(error)
    if fault is Fault.DEFECT:
        _log.failure("sending a request failed unexpectedly", failure=Failure(error))
    unreachable = fault is Fault.RECEIVER and isinstance(error, UNREACHABLE_ERRORS)
    return Outcome(
        False,
        error=describe_error(error),
        fault=fault,
        unreachable=unreachable,
        error_reason=reason_of_error(error),
    )


def _location(headers: Headers) -> str | None:
    locations = headers.getRawHeaders("Location", [])
    return locations[0] if len(locations) == 1 else None


def _timed_out(result: Outcome | Failure, _timeout: float) -> Outcome | Failure:
    # Cancelling can fail with any error of the cancelled step, not only with CancelledError.
    if not isinstance(result, Failure):
        return result
    return Failure(WaitTimedOut() if result.check(OwnWaitCancelled) else TimeoutError())


def _decode_headers(headers: Headers | RawHeaders) -> dict[str, str]:
    """Return the headers as text, without the empty Content-Encoding that Twisted's decoding leaves."""
    if isinstance(headers, list):
        headers = end_to_end_headers(headers)
        headers.removeHeader(b"Content-Encoding")
    joined = ((name, b", ".join(values)) for name, values in headers.getAllRawHeaders())
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in joined
        if value or name.lower() != b"content-encoding"
    }
