"""Writes attempts into the monthly databases of accounts, where KAZOO's own API lists them.

Like ``save_attempt`` of ``applications/webhooks/src/webhooks_util.erl`` in ``2600hz/kazoo``. Unlike it, this
never creates a monthly database: one without KAZOO's views would be of no use to its other applications.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from secrets import token_hex

from attrs import frozen
from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.couchdb.client import (
    BATCH_SIZE,
    CouchClient,
    DatabaseMissing,
    Document,
    RequestRefused,
)
from kazoo_bridge.couchdb.names import monthly_database
from kazoo_bridge.interfaces import Attempt, HookHealth, IAttemptStore, StorageUnavailable, StoredAttempt
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.log_throttle import LogThrottle
from kazoo_bridge.storage.couchdb_hooks.reader import gather

_log = Logger()

#: Seconds for which attempts are collected, and after which a refused write is repeated.
COLLECT_INTERVAL, RETRY_INTERVAL = 1.0, 5.0

#: Attempts that wait for CouchDB; of more, the oldest are lost.
MAX_WAITING = 5000

#: Seconds for which attempts wait for a monthly database that KAZOO has not created yet, and between two
#: looks for it.
MISSING_TTL, MISSING_INTERVAL = 600, 30.0

#: Databases that are written at the same time.
_PARALLEL = 8

#: The results by which attempts are counted.
RESULTS = ("stored", "lost", "no_database")

#: Events that KAZOO's attempts name in capitals.
_CHANNEL_PREFIX = "channel_"


def attempt_document(attempt: Attempt) -> tuple[str, Document]:
    """Return the database of an attempt, and its document there."""
    made = datetime.fromtimestamp(attempt.made_at, UTC)
    now = to_gregorian(attempt.made_at)
    document = dict(attempt.document)
    event = document.get("hook_event")
    if isinstance(event, str) and event.startswith(_CHANNEL_PREFIX):
        document["hook_event"] = event.upper()
    if "resp_status_code" in document and "retries" in document:
        document["try"] = document["retries"]
    private = {
        # An id, so that a write that is repeated stores nothing twice.
        "_id": token_hex(16),
        "pvt_account_db": f"{attempt.account_id}-{made:%Y%m}",
        "pvt_account_id": attempt.account_id,
        "pvt_type": "webhook_attempt",
        "pvt_created": now,
        "pvt_modified": now,
    }
    return monthly_database(attempt.account_id, made.year, made.month), document | private


class AttemptCopier(TimerService):
    """Collects attempts and writes them in batches; it never makes its caller wait.

    While CouchDB is away, `MAX_WAITING` attempts are kept. `results` counts attempts by `RESULTS`.
    """

    def __init__(self, clock: IReactorTime, client: CouchClient) -> None:
        super().__init__(COLLECT_INTERVAL, lambda: Deferred.fromCoroutine(self._write_unless_resting()))
        self.clock = self._time = clock
        self._client = client
        self._waiting: dict[str, list[Document]] = {}
        self._count = 0
        self._resting_until = 0.0
        #: Databases that do not exist, and when to look again.
        self._missing: dict[str, float] = {}
        self._losses = LogThrottle(clock, _log_losses)
        self.results: Counter[str] = Counter()

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Write these attempts soon."""
        for attempt in attempts:
            database, document = attempt_document(attempt)
            self._waiting.setdefault(database, []).append(document)
        self._count += len(attempts)
        while self._count > MAX_WAITING:
            self._drop_oldest()

    def stopService(self) -> Deferred[None]:
        """Write what waits, once, and stop."""
        return Deferred.fromCoroutine(self._stop(maybeDeferred(super().stopService)))

    async def _stop(self, ended: Deferred[object]) -> None:
        await ended
        await self.flush()
        self._lose("lost", self._count, "the node stops")
        self._losses.stop()

    async def _write_unless_resting(self) -> None:
        if self._time.seconds() >= self._resting_until:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits. Failures are logged, and what could not be written waits on."""
        try:
            while databases := self._due_databases():
                await gather(map(self._write_batch, databases))
        except StorageUnavailable as error:
            self._resting_until = self._time.seconds() + RETRY_INTERVAL
            _log.debug("attempts wait for CouchDB reason={reason}", reason=error)
        except Exception:
            self._resting_until = self._time.seconds() + RETRY_INTERVAL
            _log.failure("attempts not written to CouchDB")

    def _due_databases(self) -> list[str]:
        now = self._time.seconds()
        self._missing = {database: until for database, until in self._missing.items() if until > now}
        due = (database for database in self._waiting if database not in self._missing)
        return list(islice(due, _PARALLEL))

    async def _write_batch(self, database: str) -> None:
        await self._write_documents(database, self._take(database))

    async def _write_documents(self, database: str, batch: list[Document]) -> None:
        try:
            results = await self._client.bulk(database, batch)
        except RequestRefused as error:
            await self._write_halves(database, batch, error)
            return
        except StorageUnavailable:
            self._put_back(database, batch)
            raise
        except DatabaseMissing:
            self._database_missing(database, batch)
            return
        # A conflict says that an earlier write has stored it, whose answer did not come.
        stored = sum(result.rev is not None or result.error == "conflict" for result in results)
        self.results["stored"] += stored
        refused = [result.error for result in results if result.rev is None and result.error != "conflict"]
        if refused:
            self._lose("lost", len(refused), f"CouchDB refuses them: {refused[0]}")

    async def _write_halves(self, database: str, batch: list[Document], error: RequestRefused) -> None:
        """Write a batch in which CouchDB refuses something: all but that."""
        if len(batch) == 1:
            self._lose("lost", 1, str(error))
            return
        middle = len(batch) // 2
        try:
            await self._write_documents(database, batch[:middle])
        except StorageUnavailable:
            self._put_back(database, batch[middle:])
            raise
        await self._write_documents(database, batch[middle:])

    def _database_missing(self, database: str, batch: list[Document]) -> None:
        now = self._time.seconds()
        self._missing[database] = now + MISSING_INTERVAL
        young = [document for document in batch if document["pvt_created"] > to_gregorian(now) - MISSING_TTL]
        if young:
            self._put_back(database, young)
        self._lose("no_database", len(batch) - len(young), f"KAZOO has not created {database}")

    def _take(self, database: str) -> list[Document]:
        documents = self._waiting.pop(database)
        batch, rest = documents[:BATCH_SIZE], documents[BATCH_SIZE:]
        if rest:
            self._waiting[database] = rest
        self._count -= len(batch)
        return batch

    def _put_back(self, database: str, batch: list[Document]) -> None:
        self._waiting[database] = batch + self._waiting.get(database, [])
        self._count += len(batch)
        while self._count > MAX_WAITING:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        database, documents = next(iter(self._waiting.items()))
        excess = min(len(documents), self._count - MAX_WAITING)
        del documents[:excess]
        if not documents:
            del self._waiting[database]
        self._count -= excess
        self._lose("lost", excess, f"more than {MAX_WAITING} wait")

    def _lose(self, result: str, count: int, reason: str) -> None:
        if count:
            self.results[result] += count
            self._losses.count(f"{reason} ({count})")


def _log_losses(_times: int, example: str) -> None:
    _log.warn("attempts not written to CouchDB, they are stored here alone: {reason}", reason=example)


@implementer(IAttemptStore)
@frozen
class CopiedAttemptStore:
    """An attempt store whose attempts are copied to CouchDB, too."""

    _store: IAttemptStore
    _copier: AttemptCopier

    def add(self, attempts: Sequence[Attempt], health: Mapping[str, HookHealth]) -> Deferred[None]:
        """Store attempts, and copy them when that has succeeded. See `IAttemptStore`."""
        copied = list(attempts)
        return self._store.add(attempts, health).addCallback(lambda _: self._copier.add(copied))

    def page(
        self, account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Deferred[list[StoredAttempt]]:
        """See `IAttemptStore`."""
        return self._store.page(account_id, hook_id, before, count)

    def get(self, account_id: str, hook_id: str | None, position: int) -> Deferred[StoredAttempt | None]:
        """See `IAttemptStore`."""
        return self._store.get(account_id, hook_id, position)

    def health(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, HookHealth]]:
        """See `IAttemptStore`."""
        return self._store.health(hook_ids)

    def failures(self, revisions: Mapping[str, str], since: float) -> Deferred[Mapping[str, int]]:
        """See `IAttemptStore`."""
        return self._store.failures(revisions, since)

    def hooks_over_failure_limit(
        self, now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        """See `IAttemptStore`."""
        return self._store.hooks_over_failure_limit(now, count, window)
