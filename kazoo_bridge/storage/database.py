"""The database for a reactor: blocking work runs in its own threads, results come back as Deferreds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, TypeVar

import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection
from twisted.internet.base import ReactorBase
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.metrics import Durations, register_histogram
from kazoo_bridge.storage import migrate
from kazoo_bridge.storage.engine import in_transaction, insert_into, open_engine, readers
from kazoo_bridge.storage.tables import settings

T = TypeVar("T")

#: Transactions that may wait for a thread; further ones are refused.
MAX_PENDING = 10_000

#: The row of the table ``settings`` that readiness checks write.
_CHECK_ROW = "readiness_check"

#: Seconds between two readiness checks that write, while the storage can be written.
WRITE_CHECK_INTERVAL = 5.0

#: Seconds after which a readiness check reports that the storage does not answer.
CHECK_TIMEOUT = 2.0

#: Upper ends of the buckets of durations, in seconds.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0)


class Database:
    """Transactions for a reactor.

    Writes run on one thread, one after another in the order of the calls, on SQLite and on PostgreSQL;
    reads run beside them. A caller with many rows to write collects them into one `write`.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        uri: str,
        *,
        max_pending: int = MAX_PENDING,
        backup_before_upgrade: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the threads; connect to nothing yet.

        `reactor` provides IReactorFromThreads and IReactorTime, `uri` is what `open_engine` accepts,
        `max_pending` the number of transactions that may wait for a thread. `backup_before_upgrade`:
        `migrate` copies an SQLite file before it upgrades the tables. `monotonic` returns seconds, of which
        the durations of transactions are made. Raises `ValueError` for a wrong URI.
        """
        self._reactor: ReactorBase = reactor
        self.engine = open_engine(uri)
        self._max_pending = max_pending
        self._backup_before_upgrade = backup_before_upgrade
        self._writer = _Threads("kazoo_bridge writer", 1)
        self._readers = _Threads("kazoo_bridge reader", readers(self.engine))
        self._monotonic = monotonic
        self._durations = {"read": Durations(_BUCKETS), "write": Durations(_BUCKETS)}
        self._closing: list[Deferred[None]] | None = None
        self._probe: Deferred[None] | None = None
        self._probe_error: str | None = None
        self._written_at: float | None = None

    @property
    def pending_writes(self) -> int:
        """The number of writes that run or wait."""
        return self._writer.pending

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Export the durations of transactions in `registry`."""
        register_histogram(
            registry,
            "storage_seconds",
            "Duration of transactions in seconds, with the wait for a thread",
            lambda: self._durations,
            "operation",
        )

    def migrate(self) -> Deferred[None]:
        """Upgrade the tables to this version of the code. Fails with what `migrate.upgrade` raises."""
        return self._submit(
            self._writer, partial(migrate.upgrade, self.engine, copy=self._backup_before_upgrade)
        )

    def write(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """Run `work` in a transaction that may write; fires with its result after the commit.

        Fails with `StorageUnavailable` if the database refuses or too many transactions wait, and with what
        `work` raises; then nothing is written.
        """
        submitted = self._submit(self._writer, partial(in_transaction, self.engine, work, writing=True))
        return self._measure("write", submitted)

    def read(self, work: Callable[[Connection], T]) -> Deferred[T]:
        """Run `work` in a transaction that only reads; fires with its result. Fails like `write`."""
        submitted = self._submit(self._readers, partial(in_transaction, self.engine, work, writing=False))
        return self._measure("read", submitted)

    def check(self, timeout: float = CHECK_TIMEOUT) -> Deferred[str | None]:
        """Check that the database can be written; it is really written every `WRITE_CHECK_INTERVAL`.

        Fires within `timeout` seconds: with None if it can, otherwise with the reason as text.
        """
        if self._probe is None:
            # One probe at a time: while the database does not answer, probes must not accumulate.
            self._probe_error = None
            self._probe = self._start_probe()
            self._probe.addErrback(self._probe_failed).addBoth(self._probe_ended)
        if self._probe is None:  # refused at once
            return succeed(self._probe_error)
        answer: Deferred[str | None] = Deferred()
        self._probe.addCallback(lambda _: None if answer.called else answer.callback(self._probe_error))
        answer.addTimeout(timeout, self._reactor)
        answer.addErrback(self._no_answer, timeout)
        return answer

    def _start_probe(self) -> Deferred[None]:
        now = self._reactor.seconds()
        if self._written_at is not None and now - self._written_at < WRITE_CHECK_INTERVAL:
            return self.write(_touch)
        # Reading works on a full disk, too.
        self._written_at = None
        return self.write(_write_row).addCallback(self._probe_written, now)

    def _probe_written(self, _: None, at: float) -> None:
        self._written_at = at

    def close(self) -> Deferred[None]:
        """Refuse new work, finish what is queued, close every connection; fires when done.

        May be called again.
        """
        done: Deferred[None] = Deferred()
        if self._closing is None:
            self._closing = []
        self._closing.append(done)
        self._close_if_idle()
        return done

    def _submit(self, threads: _Threads, work: Callable[[], T]) -> Deferred[T]:
        if self._closing is not None:
            return fail(StorageUnavailable("the storage is closed: the service is stopping"))
        if threads.pending >= self._max_pending:
            return fail(
                StorageUnavailable(f"the storage cannot keep up: {threads.pending} transactions are waiting")
            )
        return threads.run(self._reactor, work).addBoth(self._ended)

    def _measure(self, operation: str, submitted: Deferred[T]) -> Deferred[T]:
        if submitted.called:
            return submitted  # it was refused
        began = self._monotonic()

        def observe(result: Any) -> Any:
            self._durations[operation].observe(self._monotonic() - began)
            return result

        return submitted.addBoth(observe)

    def _ended(self, result: Any) -> Any:
        self._close_if_idle()
        return result

    def _close_if_idle(self) -> None:
        if self._closing is None or self._writer.pending or self._readers.pending:
            return
        self._writer.stop()
        self._readers.stop()
        self.engine.dispose()
        waiting, self._closing = self._closing, []
        for done in waiting:
            done.callback(None)

    def _probe_failed(self, failure: Failure) -> None:
        self._probe_error = str(failure.value)
        if not isinstance(failure.value, StorageUnavailable | CancelledError):
            self.log.failure("storage readiness check failed", failure)

    def _probe_ended(self, _: None) -> None:
        self._probe = None

    def _no_answer(self, _: Failure, timeout: float) -> str:
        return (
            f"the storage has not answered for {timeout:g} seconds; {self.pending_writes} writes are waiting"
        )


def _touch(connection: Connection) -> None:
    connection.execute(sa.text("SELECT 1 FROM alembic_version"))


def _write_row(connection: Connection) -> None:
    values = {"name": _CHECK_ROW, "value": secrets.token_hex(8)}
    written = insert_into(connection, settings).values(values)
    connection.execute(
        written.on_conflict_do_update(index_elements=["name"], set_={"value": written.excluded.value})
    )


class _Threads:
    """A thread pool that starts with its first job and counts its pending jobs."""

    def __init__(self, name: str, size: int) -> None:
        self.pending = 0
        self._pool = ThreadPool(0, size, name)
        # Daemons: a process that fails to close the database can still exit. A transaction cut short is
        # rolled back.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]

    def run(self, reactor: ReactorBase, work: Callable[[], T]) -> Deferred[T]:
        if not self._pool.started:
            self._pool.start()
        self.pending += 1
        return deferToThreadPool(reactor, self._pool, work).addBoth(self._ended)

    def _ended(self, result: Any) -> Any:
        self.pending -= 1
        return result

    def stop(self) -> None:
        if self._pool.started:
            self._pool.stop()
