"""Sends one request and reads its answer: bounded in time and in memory, whatever the receiver does."""

from __future__ import annotations

from attrs import evolve, frozen
from hyperlink import DecodedURL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from kazoo_bridge.webhooks.http.error_messages import describe_error
from kazoo_bridge.webhooks.http.fixed_url_agent import FixedUrlAgent
from kazoo_bridge.webhooks.http.http_request import HookRequest, is_success
from kazoo_bridge.webhooks.http.outcome import Outcome
from kazoo_bridge.webhooks.http.redirects import RedirectRefused, is_redirect, redirect
from kazoo_bridge.webhooks.http.response_body import read_prefix

_PLACEHOLDER = DecodedURL.from_text("http://hook.invalid/")


_STATUSES = range(200, 1000)


@frozen
class Sender:
    """Makes attempts. `request_timeout` is in seconds; a success's headers are told only if `tells_successes`.

    With `max_redirects` 0 a redirect is an answer like any other, and that is a failure.
    """

    _clock: IReactorTime
    _agent: IAgent
    request_timeout: float
    reads_success_bodies: bool = True
    max_redirects: int = 0

    async def send(self, request: HookRequest) -> Outcome:
        """One attempt, redirects and reading the answer included, within the request time-out. Never raises for what a receiver does."""
        attempt = Deferred.fromCoroutine(self._follow(request))
        attempt.addTimeout(self.request_timeout, self._clock, onTimeoutCancel=_timed_out)
        try:
            return await attempt
        except TimeoutError:
            return Outcome(False, error=f"no complete answer within {self.request_timeout:g} s")
        except CancelledError:
            raise
        except Exception as error:
            return Outcome(False, error=describe_error(error))

    async def _follow(self, request: HookRequest) -> Outcome:
        for _ in range(self.max_redirects):
            outcome, location = await self._exchange(request)
            if outcome.status is None or not is_redirect(outcome.status):
                return outcome
            try:
                request = redirect(request, outcome.status, location)
            except RedirectRefused as refused:
                return evolve(outcome, error=describe_error(refused))
        outcome, _ = await self._exchange(request)
        if self.max_redirects and outcome.status is not None and is_redirect(outcome.status):
            return evolve(outcome, error=f"more redirects than {self.max_redirects}")
        return outcome

    async def _exchange(self, request: HookRequest) -> tuple[Outcome, str | None]:
        # treq would rewrite the URL (and cannot take IPv6 hosts): the agent beneath it puts the exact one on the wire. A client
        # for each request costs next to nothing, and no cookie outlives it.
        response = await HTTPClient(FixedUrlAgent(self._agent, request.url.encode("ascii"))).request(
            request.method,
            _PLACEHOLDER,
            headers=Headers({name: [value] for name, value in request.headers.items()}),
            data=request.body or None,
            allow_redirects=False,
            unbuffered=True,
        )
        body, error = bytearray(), ""
        try:
            await read_prefix(response, body)
        except ResponseFailed as failed:
            error = describe_error(failed)
        if response.code not in _STATUSES:
            return Outcome(False, error="the answer is not HTTP/1.1: it has no status"), None
        success = is_success(request.method, response.code)
        # Nobody looks at a success's headers unless successes are kept, and a failure's cost more than reading them.
        headers = {} if success and not self.reads_success_bodies else _headers(response.headers)
        locations = response.headers.getRawHeaders("Location", [])
        outcome = Outcome(success, response.code, "" if success else error, headers, bytes(body))
        return outcome, locations[0] if len(locations) == 1 else None


def _timed_out(result: Outcome | Failure, _: float) -> Outcome | Failure:
    # What was cancelled may say so in words of its own.
    return Failure(TimeoutError()) if isinstance(result, Failure) else result


def _headers(headers: Headers) -> dict[str, str]:
    """What the receiver said. Twisted's decoding of contents adds an empty Content-Encoding where there was none."""
    told = ((name, b", ".join(values)) for name, values in headers.getAllRawHeaders())
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in told
        if value or name.lower() != b"content-encoding"
    }
