"""Follows the changes of a database for as long as the node runs.

One request stays open; CouchDB writes a line for each changed document, and an empty line as a heartbeat.
When the connection ends, or is silent for too long, the follower connects again after a delay that grows, and
goes on after the last change that was handled: none is missed, some may come twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from attrs import field, frozen
from twisted.application.internet import backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bounded_http import abort
from kazoo_bridge.couchdb.client import CouchClient, DatabaseMissing, Document, SequenceId
from kazoo_bridge.couchdb.http import describe_error
from kazoo_bridge.interfaces import StorageUnavailable

_log = Logger()

#: Seconds between two heartbeats that CouchDB is asked for.
HEARTBEAT = 5.0

#: Heartbeats without any byte after which the connection counts as dead.
_MISSED_HEARTBEATS = 3

#: Bytes of one line, which has one document. A longer line is left out.
MAX_LINE_BYTES = 4 * 1024 * 1024

#: Bytes that are left out of one line before the connection is closed.
MAX_SKIPPED_BYTES = 256 * 1024 * 1024

#: Seconds between two attempts to connect: from the shortest to the longest.
_MIN_DELAY, _MAX_DELAY = 0.5, 15.0

#: Seconds without a connection, or in which changes cannot be applied, after which that is a problem and is
#: logged: balancers close streams now and then.
AWAY_AFTER = 3.0


@frozen
class Change:
    """A changed document. `doc`: what it is now; None if it is deleted, or was sent without."""

    id: str
    doc: Document | None = field(repr=False)
    deleted: bool = False


#: Receives changes in their order. What it returns is waited for; while it fails with `StorageUnavailable`,
#: the same changes are brought again later. Any other failure is logged, and the changes count as handled.
OnChanges = Callable[[Sequence[Change]], Deferred[None] | None]


class ChangesFollower(Service):
    """Calls `on_changes` with every change of a database after `since`.

    `connected` is True while the stream is open, `failure` the reason why it is not and could not be opened
    again, and `last_heard` the time of the latest byte, or of the start, in seconds of the clock.
    """

    def __init__(
        self,
        clock: IReactorTime,
        client: CouchClient,
        database: str,
        on_changes: OnChanges,
        *,
        heartbeat: float = HEARTBEAT,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        """Follow nothing yet. Set `since`, then start the service. `heartbeat` is in seconds."""
        self._clock = clock
        self._client = client
        self._database = database
        self._on_changes = on_changes
        self._heartbeat = heartbeat
        self._max_line_bytes = max_line_bytes
        self._loop: Deferred[None] | None = None
        self._failures = 0
        self._reported = False
        #: Why the latest changes could not be applied, since when, and how often.
        self._not_applied: str | None = None
        self._failing_since = 0.0
        self._failed_attempts = 0
        self._not_applied_reported = False
        self._delay = backoffPolicy(_MIN_DELAY, _MAX_DELAY)
        self.since: SequenceId = 0
        self.connected = False
        self.failure: str | None = None
        self.last_heard = 0.0

    def startService(self) -> None:
        """Connect, and stay connected."""
        super().startService()
        self.last_heard = self._clock.seconds()
        self._loop = Deferred.fromCoroutine(self._follow())
        self._loop.addErrback(_log_failure, self._database)

    def stopService(self) -> Deferred[None] | None:
        """Close the connection; fires when nothing is handled any more."""
        super().stopService()
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.cancel()
        return loop

    def problem(self) -> str | None:
        """Return why changes are not known or not applied; None while they are, or have been just now."""
        now = self._clock.seconds()
        if self._not_applied is not None and now - self._failing_since > AWAY_AFTER:
            return f"its changes cannot be applied: {self._not_applied}"
        if self.failure is not None and now - self.last_heard > AWAY_AFTER:
            return f"its changes are not known: {self.failure}"
        return None

    async def _follow(self) -> None:
        while self.running:
            try:
                reason = await self._follow_one_connection()
            except CancelledError:
                return
            except (StorageUnavailable, DatabaseMissing) as error:
                reason = str(error)
            finally:
                self.connected = False
            self._failures += 1
            self.failure = reason
            self._report(reason)
            failures = max(self._failures, self._failed_attempts)
            await deferLater(self._clock, self._delay(min(failures, 100)))

    async def _follow_one_connection(self) -> str:
        """Follow until the connection ends, and return why it did."""
        response = await self._client.open_changes(self._database, self.since, self._heartbeat)
        stream = _Stream(
            self._clock,
            self._heard,
            self._handle,
            silence=self._heartbeat * _MISSED_HEARTBEATS,
            max_line_bytes=self._max_line_bytes,
        )
        response.deliverBody(stream)
        self.connected = True
        self.failure = None
        return await stream.ended

    def _heard(self) -> None:
        self.last_heard = self._clock.seconds()
        self._failures = 0
        if self._reported:
            self._reported = False
            _log.info("changes of CouchDB followed again database={database}", database=self._database)

    async def _handle(self, lines: Sequence[bytes]) -> None:
        changes: list[Change] = []
        since = self.since
        for line in lines:
            parsed = _parse(line)
            if parsed is None:
                _log.warn("change of CouchDB not understood database={database}", database=self._database)
                continue
            since, change = parsed
            if change is not None:
                changes.append(change)
        if changes:
            try:
                await maybeDeferred(self._on_changes, changes)
            except StorageUnavailable as error:
                self._apply_failed(str(error))
                raise
            except CancelledError:
                raise
            except Exception:
                _log.failure("changes of CouchDB not applied database={database}", database=self._database)
            self._applied()
        self.since = since

    def _apply_failed(self, reason: str) -> None:
        now = self._clock.seconds()
        if self._not_applied is None:
            self._failing_since = now
        self._not_applied = reason
        self._failed_attempts += 1
        if not self._not_applied_reported and now - self._failing_since > AWAY_AFTER:
            self._not_applied_reported = True
            _log.warn(
                "changes of CouchDB cannot be applied, trying again database={database} reason={reason}",
                database=self._database,
                reason=reason,
            )

    def _applied(self) -> None:
        self._not_applied, self._failed_attempts = None, 0
        if self._not_applied_reported:
            self._not_applied_reported = False
            _log.info("changes of CouchDB applied again database={database}", database=self._database)

    def _report(self, reason: str) -> None:
        if not self._reported and self._clock.seconds() - self.last_heard > AWAY_AFTER:
            self._reported = True
            _log.warn(
                "changes of CouchDB interrupted, trying again database={database} reason={reason}",
                database=self._database,
                reason=reason,
            )


class _Stream(Protocol):
    """The body of one answer: splits it into lines and hands them on, in order, one handler at a time.

    `ended` fires with the reason; cancelling it closes the connection. While the handler works, the
    connection is paused, so that CouchDB waits.
    """

    def __init__(
        self,
        clock: IReactorTime,
        on_heard: Callable[[], None],
        handle: Callable[[Sequence[bytes]], Any],
        *,
        silence: float,
        max_line_bytes: int,
    ) -> None:
        self._clock = clock
        self._on_heard = on_heard
        self._handle = handle
        self._silence = silence
        self._lines = LineSplitter(max_line_bytes)
        self._working: Deferred[None] | None = None
        self._queue: list[bytes] = []
        self._watchdog: IDelayedCall | None = None
        self._close_reason = ""
        self.ended: Deferred[str] = Deferred(lambda _: self._cancel())

    def connectionMade(self) -> None:
        self._watchdog = self._clock.callLater(self._silence, self._silent)

    def dataReceived(self, data: bytes) -> None:
        if self.ended.called:
            return
        self._on_heard()
        if self._watchdog is not None and self._watchdog.active():
            self._watchdog.reset(self._silence)
        self._queue += self._lines.feed(data)
        if self._lines.skipped > MAX_SKIPPED_BYTES:
            self._close(f"a line of more than {MAX_SKIPPED_BYTES} bytes")
        elif self._queue and self._working is None:
            self._work()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_watchdog()
        if not self.ended.called and self._working is None:
            self.ended.callback(self._close_reason or describe_error(reason.value))
        elif not self._close_reason:
            self._close_reason = describe_error(reason.value)

    def _work(self) -> None:
        lines, self._queue = self._queue, []
        self.transport.pauseProducing()  # type: ignore[union-attr]
        # Silence is no sign of death while nothing is read.
        self._stop_watchdog()
        self._working = Deferred.fromCoroutine(self._handle(lines))
        self._working.addCallbacks(self._worked, self._work_failed)

    def _worked(self, _: None) -> None:
        self._working = None
        if self.ended.called:
            return
        if self._close_reason:
            self.ended.callback(self._close_reason)
        elif self._queue:
            self._work()
        else:
            self._watchdog = self._clock.callLater(self._silence, self._silent)
            self.transport.resumeProducing()  # type: ignore[union-attr]

    def _work_failed(self, failure: Failure) -> None:
        self._working = None
        if not self.ended.called:
            self.ended.errback(failure)
        self._close(str(failure.value))

    def _silent(self) -> None:
        self._close(f"silent for {self._silence:g} s")

    def _close(self, reason: str) -> None:
        self._close_reason = self._close_reason or reason
        self._stop_watchdog()
        abort(self.transport)

    def _cancel(self) -> None:
        if self._working is not None:
            self._working.cancel()
        self._close("stopped")

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None and self._watchdog.active():
            self._watchdog.cancel()
        self._watchdog = None


class LineSplitter:
    """Splits bytes into lines; a line that is too long is left out.

    `skipped` counts the bytes left out of the present line.
    """

    def __init__(self, max_line_bytes: int) -> None:
        """`max_line_bytes`: longer lines are left out."""
        self._max = max_line_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self.skipped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without empty ones."""
        *whole, rest = data.split(b"\n")
        lines = []
        for end in whole:
            line = self._complete(end)
            if line:
                lines.append(line)
        self._add(rest)
        return lines

    def _complete(self, end: bytes) -> bytes:
        self._add(end)
        line = b"".join(self._parts)
        if self.skipped:
            _log.warn("change of CouchDB is too large and left out bytes={size}", size=self.skipped)
        self._parts, self._size, self.skipped = [], 0, 0
        return line.strip()

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._max:
            self._parts.clear()
            self.skipped = self._size
        elif part:
            self._parts.append(part)


def _parse(line: bytes) -> tuple[SequenceId, Change | None] | None:
    """Return the position after a line and its change; None for a line that is none of CouchDB's.

    The last line of a stream that CouchDB ends has a position, but no change.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    sequence = value.get("seq", value.get("last_seq"))
    if not isinstance(sequence, str | int | list):
        return None
    document_id, doc = value.get("id"), value.get("doc")
    if not isinstance(document_id, str):
        return (sequence, None) if "last_seq" in value else None
    deleted = value.get("deleted") is True
    return sequence, Change(document_id, doc if isinstance(doc, dict) and not deleted else None, deleted)


def _log_failure(failure: Failure, database: str) -> None:
    if not failure.check(CancelledError):
        _log.failure("following CouchDB ended database={database}", failure, database=database)
