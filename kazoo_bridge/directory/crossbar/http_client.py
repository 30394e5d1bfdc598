"""Requests to crossbar: bounded in number, time and size, and never with a token in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import treq
from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, TimeoutError
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from kazoo_bridge.bounded_http import BodyTooLarge, make_pool, read_body
from kazoo_bridge.directory.crossbar.availability import Availability, CrossbarAway
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.json_limits import exceeds_depth, exceeds_values
from kazoo_bridge.uncompressed_agent import UncompressedAgent

#: Bytes of an answer.
MAX_ANSWER_BYTES = 4 * 1024 * 1024

#: Levels and values of JSON in an answer.
MAX_DEPTH, MAX_VALUES = 50, 200_000

#: What proxies answer for a crossbar that is away.
_GATEWAY_ERRORS = (502, 503, 504)

#: Requests that wait for others, and for how many seconds; further ones fail at once.
MAX_WAITING, WAIT_TIMEOUT = 1000, 30.0

#: Seconds that a connection without a request stays open.
KEEP_ALIVE = 30.0


@frozen
class CrossbarAnswer:
    """An answer in KAZOO's envelope, which may have secrets in it."""

    status: int
    envelope: Mapping[str, Any] = field(repr=False)

    @property
    def data(self) -> Any:
        """The envelope's ``data``."""
        return self.envelope.get("data")

    @property
    def is_success(self) -> bool:
        """Whether crossbar has done what was asked."""
        return self.status in (200, 201) and self.envelope.get("status") == "success"


class CrossbarClient:
    """Sends requests over its own pool of connections.

    `uri` is that of crossbar up to ``/v2``. At most `max_requests` are under way, each for at most `timeout`
    seconds; others wait for at most `WAIT_TIMEOUT` seconds. `availability` notes the outcomes.
    """

    def __init__(
        self,
        reactor: Any,
        uri: str,
        availability: Availability,
        *,
        timeout: float,
        max_requests: int,
    ) -> None:
        self._reactor = reactor
        self._uri = uri.rstrip("/")
        self.availability = availability
        self._timeout = timeout
        self._pool = make_pool(reactor, max_requests, KEEP_ALIVE)
        self._agent = UncompressedAgent(Agent(reactor, connectTimeout=timeout, pool=self._pool))
        once = make_pool(reactor, 0, 0.0)
        self._once_agent = UncompressedAgent(Agent(reactor, connectTimeout=timeout, pool=once))
        self._slots = DeferredSemaphore(max_requests)
        self._under_way: set[Deferred[CrossbarAnswer]] = set()
        self._waiting: set[Deferred[Any]] = set()
        self._closed = False

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: Mapping[str, Any] | None = None,
        repeatable: bool = True,
    ) -> CrossbarAnswer:
        """Return the answer to a request.

        `path` begins with a slash. `token` goes into ``X-Auth-Token``, and `body` is the whole JSON body.
        `repeatable`: whether a GET may be sent again when the connection is lost before the answer.
        Raises `StorageUnavailable` if crossbar does not answer as it should.
        """
        if self._closed or len(self._slots.waiting) >= MAX_WAITING:
            raise StorageUnavailable("too many requests to crossbar wait")
        try:
            return await self._bounded(method, path, token, body, repeatable)
        except CrossbarAway as error:
            self.availability.failed(str(error))
            raise

    async def close(self) -> None:
        """Give up the requests under way, and close all connections. There are no further requests."""
        self._closed = True
        for deferred in (*self._waiting, *self._under_way):
            deferred.cancel()
        await self._pool.closeCachedConnections()

    async def _bounded(
        self, method: str, path: str, token: str | None, body: Mapping[str, Any] | None, repeatable: bool
    ) -> CrossbarAnswer:
        await self._take_slot()
        answer = Deferred.fromCoroutine(self._request(method, path, token, body, repeatable))
        answer.addTimeout(self._timeout, self._reactor, _raise_timeout)
        has_left: list[bool] = []

        def leave(_waiting: Deferred[CrossbarAnswer]) -> None:
            has_left.append(True)
            answer.cancel()

        # An agent that is cancelled fails with errors of its own, which look like those of a connection.
        waiting: Deferred[CrossbarAnswer] = Deferred(leave)
        answer.addBoth(waiting.callback)
        self._under_way.add(answer)
        try:
            return await waiting
        except StorageUnavailable:
            raise
        except TimeoutError:
            raise CrossbarAway("crossbar did not answer in time") from None
        except Exception as error:
            # Agents and their transports may raise anything.
            if has_left:
                raise CancelledError from None
            if self._closed:
                raise StorageUnavailable("the request to crossbar was given up") from None
            reason = f"{type(error).__name__}: {error}"[:300]
            raise CrossbarAway(f"crossbar cannot be asked: {reason}") from None
        finally:
            self._under_way.discard(answer)
            self._slots.release()

    async def _take_slot(self) -> None:
        waiting = self._slots.acquire()
        if waiting.called:
            return
        waiting.addTimeout(WAIT_TIMEOUT, self._reactor)
        self._waiting.add(waiting)
        try:
            await waiting
        except TimeoutError:
            raise StorageUnavailable("too many requests to crossbar wait") from None
        except CancelledError:
            if not self._closed:
                raise  # the caller has gone
            raise StorageUnavailable("the request to crossbar was given up") from None
        finally:
            self._waiting.discard(waiting)

    async def _request(
        self, method: str, path: str, token: str | None, body: Mapping[str, Any] | None, repeatable: bool
    ) -> CrossbarAnswer:
        headers = Headers({"Accept": ["application/json"]})
        if token is not None:
            headers.addRawHeader("X-Auth-Token", token)
        if body is not None:
            headers.addRawHeader("Content-Type", "application/json")
        # A client of its own for each request: no cookie of one answer goes with the next request.
        client = treq.client.HTTPClient(self._agent if repeatable else self._once_agent)
        response = await client.request(
            method,
            self._uri + path,
            headers=headers,
            data=None if body is None else orjson.dumps(body),
            allow_redirects=False,
            unbuffered=True,
        )
        try:
            received = await read_body(response, MAX_ANSWER_BYTES)
        except BodyTooLarge:
            raise StorageUnavailable(f"crossbar answered with more than {MAX_ANSWER_BYTES} bytes") from None
        if response.code in _GATEWAY_ERRORS:
            raise CrossbarAway(f"crossbar answered with status {response.code}")
        self.availability.answered()
        return CrossbarAnswer(response.code, _parse(received, response.code))


def _raise_timeout(_result: Any, _timeout: float) -> Any:
    raise TimeoutError


def _parse(body: bytes, status: int) -> Mapping[str, Any]:
    """Return the envelope. Raises `StorageUnavailable` for what is none, and for errors of the server."""
    if status == 429 or status >= 500 or 300 <= status < 400:
        raise StorageUnavailable(f"crossbar answered with status {status}")
    try:
        envelope = None if exceeds_values(body, MAX_VALUES) else orjson.loads(body)
    except orjson.JSONDecodeError:
        envelope = None
    if not isinstance(envelope, dict) or exceeds_depth(envelope, MAX_DEPTH):
        raise StorageUnavailable(f"crossbar answered with status {status} and no JSON object of its form")
    return envelope
