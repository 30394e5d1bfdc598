"""Sends one request and reads its answer: bounded in time and in memory, whatever the receiver does."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from hyperlink import DecodedURL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from kazoo_bridge.webhooks.exact import ExactAgent
from kazoo_bridge.webhooks.outcome import Outcome
from kazoo_bridge.webhooks.requests import HookRequest, is_success

#: The answer's body is of no interest; reading up to this many bytes lets the connection be used again.
_MAX_ANSWER = 64 * 1024

_PLACEHOLDER = DecodedURL.from_text("http://hook.invalid/")


class _AnswerTooLong(Exception):
    """The receiver sends more than anybody will read."""


@frozen
class Sender:
    """Makes attempts. `request_timeout` is in seconds; a success's headers are told only if `tells_successes`."""

    _clock: IReactorTime
    _agent: IAgent
    request_timeout: float
    tells_successes: bool = True

    async def send(self, request: HookRequest) -> Outcome:
        """One attempt, answer read included, within the request time-out. Never raises for what a receiver does."""
        attempt = Deferred.fromCoroutine(self._exchange(request))
        attempt.addTimeout(self.request_timeout, self._clock)
        try:
            return await attempt
        except TimeoutError:
            return Outcome(False, error=f"no complete answer within {self.request_timeout:g} s")
        except CancelledError:
            raise
        except Exception as error:
            return Outcome(False, error=_words(error))

    async def _exchange(self, request: HookRequest) -> Outcome:
        # treq would rewrite the URL (and cannot take IPv6 hosts): the agent beneath it puts the exact one on the wire. A client
        # for each request costs next to nothing, and no cookie outlives it.
        response = await HTTPClient(ExactAgent(self._agent, request.url.encode("ascii"))).request(
            request.method,
            _PLACEHOLDER,
            headers=Headers({name: [value] for name, value in request.headers.items()}),
            data=request.body or None,
            allow_redirects=False,
            unbuffered=True,
        )
        body = bytearray()

        def keep(data: bytes) -> None:
            body.extend(data[: _MAX_ANSWER - len(body)])
            if len(body) >= _MAX_ANSWER:
                raise _AnswerTooLong

        error = ""
        try:
            await response.collect(keep)
        except _AnswerTooLong:
            pass  # the status has been read, which is all that counts
        except ResponseFailed as failed:
            error = _words(failed)
        success = is_success(request.method, response.code)
        # Nobody looks at a success's headers unless successes are kept, and a failure's cost more than reading them.
        headers = {} if success and not self.tells_successes else _headers(response.headers)
        return Outcome(success, response.code, "" if success else error, headers, bytes(body))


def _headers(headers: Headers) -> dict[str, str]:
    return {name.decode("latin-1"): b", ".join(values).decode("latin-1") for name, values in headers.getAllRawHeaders()}


def _words(error: BaseException | None) -> str:
    """An error in words, without the URL, which may hold secrets."""
    reasons: Any = getattr(error, "reasons", None)
    if reasons and isinstance(reasons[0], Failure):
        return _words(reasons[0].value)
    return f"{type(error).__name__}: {error}"
