"""One HTTP request to CouchDB: with credentials, at most so many at once, bounded in time and size.

Whatever goes wrong with the server or the network is `StorageUnavailable`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from attrs import field, frozen
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from kazoo_bridge.body_producer import BytesProducer
from kazoo_bridge.bounded_http import BodyTooLarge, make_pool, read_body
from kazoo_bridge.config.couch_uri import CouchUri
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.uncompressed_agent import UncompressedAgent

#: Seconds until a connection must be made.
CONNECT_TIMEOUT = 5.0

#: Seconds until an answer must be complete, the wait for a turn included.
REQUEST_TIMEOUT = 15.0

#: Requests at the same time; `changes` streams are not counted.
MAX_REQUESTS = 16

#: Requests that may wait for a turn; more fail at once.
MAX_WAITING = 1000

#: The largest answer, in bytes: a page of account documents has a few hundred thousand.
MAX_ANSWER_BYTES = 32 * 1024 * 1024

#: Seconds for which an idle connection is kept; less than a load balancer in front of CouchDB keeps it.
_KEEP_ALIVE = 20

#: Characters of CouchDB's own reason that an error repeats.
_MAX_REASON = 200


class AnswerTooLarge(StorageUnavailable):
    """The answer has more bytes than a caller accepts."""


class AnswerNotJson(StorageUnavailable):
    """The answer is not JSON, or JSON that cannot be parsed, such as thousands of nested lists."""


@frozen
class CouchAnswer:
    """The status of an answer, and its whole body."""

    status: int
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Parse the body. Raises `AnswerNotJson`."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise AnswerNotJson("CouchDB answered with something else than JSON") from None

    @property
    def reason(self) -> str:
        """CouchDB's own words for a refusal, in short."""
        try:
            answer = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return ""
        reason = answer.get("reason") if isinstance(answer, dict) else None
        return repr(reason[:_MAX_REASON]) if isinstance(reason, str) else ""


class CouchHttp:
    """Sends requests to one CouchDB.

    `agent` connects. `label` names the server in errors and logs.
    """

    def __init__(
        self,
        agent: IAgent,
        clock: IReactorTime,
        uri: CouchUri,
        *,
        timeout: float = REQUEST_TIMEOUT,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_waiting: int = MAX_WAITING,
        pool: HTTPConnectionPool | None = None,
    ) -> None:
        """Connect to nothing yet. `timeout` is in seconds. `pool` is that of `agent`, closed by `close`."""
        self._agent = agent
        self._client = HTTPClient(UncompressedAgent(agent))
        self._clock = clock
        self._base = uri.base
        self.label = f"CouchDB at {uri.base}"
        self._timeout = timeout
        self._max_answer_bytes = max_answer_bytes
        self._max_waiting = max_waiting
        self._pool = pool
        self._turns = DeferredSemaphore(MAX_REQUESTS)
        self._under_way: set[Deferred[Any]] = set()
        self._closed = False
        self._headers = Headers({b"Accept": [b"application/json"], b"User-Agent": [b"kazoo_bridge"]})
        if uri.user:
            credentials = b64encode(f"{uri.user}:{uri.password}".encode())
            self._headers.addRawHeader(b"Authorization", b"Basic " + credentials)

    @classmethod
    def from_uri(
        cls,
        reactor: Any,
        uri: CouchUri,
        *,
        timeout: float = REQUEST_TIMEOUT,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> CouchHttp:
        """Make one with its own pool of connections."""
        pool = make_pool(reactor, MAX_REQUESTS, _KEEP_ALIVE)
        agent = Agent(reactor, connectTimeout=CONNECT_TIMEOUT, pool=pool)
        return cls(agent, reactor, uri, timeout=timeout, max_answer_bytes=max_answer_bytes, pool=pool)

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> CouchAnswer:
        """Send a request, with `body` as JSON, and return the answer, whatever its status below 500 is.

        Raises `StorageUnavailable`: no connection, no whole answer in time, one too large, a status that
        says that CouchDB does not work or does not accept the credentials.
        """
        if self._closed:
            raise self._is_closed()
        if len(self._turns.waiting) >= self._max_waiting:
            raise StorageUnavailable(f"{self.label}: {self._max_waiting} requests wait for it already")
        raw = None if body is None else _dump_json(body)
        answer: CouchAnswer = await self._within_time(
            self._request_in_turn(method, path, query, raw), self._timeout
        )
        self._check(answer)
        return answer

    async def open(self, path: str, query: Mapping[str, str], *, more_time: float) -> IResponse:
        """Send a GET and return the response, whose body has not been read: a stream without an end.

        `more_time`: seconds that the answer may begin later than others. Raises `StorageUnavailable` for
        every other status than 200, and without an answer in time.
        """
        if self._closed:
            raise self._is_closed()
        # Not by treq, which asks for compression: what compresses holds changes back until it has enough.
        url = self._url(path, query).encode("ascii")
        response: IResponse = await self._within_time(
            self._agent.request(b"GET", url, self._headers), self._timeout + more_time
        )
        if response.code == 200:
            return response
        answer: CouchAnswer = await self._within_time(self._read(response), self._timeout)
        self._check(answer)
        raise StorageUnavailable(f"{self.label}: status {answer.status} {answer.reason}".rstrip())

    async def close(self) -> None:
        """Give up the requests under way, and close the connections. Further requests fail.

        Streams that are open stay so.
        """
        self._closed = True
        for deferred in list(self._under_way):
            deferred.cancel()
        if self._pool is not None:
            await self._pool.closeCachedConnections()

    async def _request_in_turn(
        self, method: str, path: str, query: Mapping[str, str] | None, raw: bytes | None
    ) -> CouchAnswer:
        await self._turns.acquire()
        try:
            if self._closed:
                raise self._is_closed()
            return await self._read(await self._send(method, path, query, raw))
        finally:
            self._turns.release()

    async def _send(
        self, method: str, path: str, query: Mapping[str, str] | None, raw: bytes | None
    ) -> IResponse:
        headers = self._headers.copy()
        if raw is not None:
            headers.addRawHeader(b"Content-Type", b"application/json")
        response: Any = await self._client.request(
            method,
            self._url(path, query or {}),
            headers=headers,
            data=None if raw is None else BytesProducer(raw),
            allow_redirects=False,
            unbuffered=True,
        )
        answered: IResponse = response
        return answered

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        return f"{self._base}{path}{'?' + urlencode(query) if query else ''}"

    async def _read(self, response: IResponse) -> CouchAnswer:
        return CouchAnswer(response.code, await read_body(response, self._max_answer_bytes))

    async def _within_time(self, work: Any, timeout: float) -> Any:
        """Await a coroutine or Deferred; every failure of it, a time-out too, is `StorageUnavailable`."""

        def on_timeout(_result: object, _timeout: float) -> None:
            raise StorageUnavailable(f"{self.label}: no whole answer within {timeout:g} s")

        working = ensureDeferred(work).addTimeout(timeout, self._clock, on_timeout)
        self._under_way.add(working)
        try:
            return await working
        except BodyTooLarge as error:
            raise AnswerTooLarge(f"{self.label}: {error}") from None
        except StorageUnavailable:
            raise
        except Exception as error:
            if self._closed:
                raise self._is_closed() from None
            if isinstance(error, CancelledError):
                raise  # the caller has left
            # Twisted's client and TLS raise errors of many kinds.
            raise StorageUnavailable(f"{self.label}: {describe_error(error)}") from None
        finally:
            self._under_way.discard(working)

    def _is_closed(self) -> StorageUnavailable:
        return StorageUnavailable(f"{self.label}: the client is closed")

    def _check(self, answer: CouchAnswer) -> None:
        if answer.status in (401, 403):
            raise StorageUnavailable(
                f"{self.label}: the user or password of couchdb.uri is refused "
                f"(status {answer.status} {answer.reason})"
            )
        if answer.status >= 500 or answer.status == 429 or 300 <= answer.status < 400:
            raise StorageUnavailable(f"{self.label}: status {answer.status} {answer.reason}".rstrip())


def describe_error(error: BaseException | None) -> str:
    """Return the reason of a failed request in words; wrapped errors are unwrapped."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        return describe_error(reasons[0].value)
    return str(error) or type(error).__name__


def _dump_json(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        # It refuses integers of more than 64 bits, and lone surrogates.
        return json.dumps(value).encode()
