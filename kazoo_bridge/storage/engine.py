"""An SQLAlchemy engine for the configured URI, and transactions on it. Blocking; needs no reactor."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Row, Select, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from kazoo_bridge.interfaces import StorageUnavailable, StorageUnusable
from kazoo_bridge.storage.database_errors import describe, is_permanent

T = TypeVar("T")

#: Concurrent reads, by dialect.
READERS = {"sqlite": 2, "postgresql": 4}

#: Seconds to wait for a lock that another process holds, and for a connection.
LOCK_TIMEOUT = 5

#: Characters of large rows that one read takes from the database, and a row more.
MAX_READ_CHARACTERS = 512 * 1024

#: Rows that are taken from the database at once where their size is looked at.
_ROWS_AT_ONCE = 10

#: Values in one ``IN`` list.
MAX_PARAMETERS = 500

_INSERT: Mapping[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_WRITING = "kazoo_bridge_writing"

#: Errors of opening a file that may pass; all others go on until the URI or the folder is changed.
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EINTR)


def open_engine(uri: str) -> Engine:
    """Return an engine for ``sqlite:///FILE`` or ``postgresql+psycopg://…``; connect to nothing yet.

    Raises `ValueError` for any other URI; its text never contains the password.
    """
    try:
        url = sa.make_url(uri)
    except (SQLAlchemyError, ValueError):
        raise ValueError("not a database URI; expected sqlite:///FILE or postgresql+psycopg://…") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite(url)
    if backend == "postgresql":
        return _postgresql(url)
    raise ValueError(f"{backend} is not supported; expected sqlite:///FILE or postgresql+psycopg://…")


def in_transaction(engine: Engine, work: Callable[[Connection], T], *, writing: bool) -> T:
    """Run `work` in one transaction and return its result: commit when it returns, roll back when it raises.

    `writing` takes SQLite's write lock at the start, so that what `work` reads still holds when it writes.
    Raises `StorageUnavailable` if the database fails or refuses, and what `work` raises.
    """
    try:
        with engine.connect() as connection:
            connection.execution_options(**{_WRITING: writing})
            with connection.begin():
                return work(connection)
    except (DBAPIError, NoFreeConnection) as error:
        reason = describe(engine.url, error)
        if reason is None:
            raise
        raise (StorageUnusable if is_permanent(error) else StorageUnavailable)(reason) from None


def readers(engine: Engine) -> int:
    """Return how many reads may run at once."""
    return READERS[engine.dialect.name]


def in_batches(values: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """Yield slices of `values` for SQL's ``IN``; databases bound the number of parameters of a statement."""
    for start in range(0, len(values), MAX_PARAMETERS):
        yield values[start : start + MAX_PARAMETERS]


def read_bounded(
    connection: Connection, query: Select[Any], size: Callable[[Row[Any]], int]
) -> Iterator[Row[Any]]:
    """Yield the rows of a query, up to that with which they have more than `MAX_READ_CHARACTERS`.

    `size` returns the number of characters of a row. Rows behind the last one are not read into memory, but
    for a few.
    """
    total = 0
    with connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)) as rows:
        for row in rows:
            yield row
            total += size(row)
            if total > MAX_READ_CHARACTERS:
                return


def insert_into(connection: Connection, table: Table) -> Any:
    """Return an INSERT of the connection's dialect, to be completed by ``on_conflict_do_…``."""
    return _INSERT[connection.dialect.name](table)


def _sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise ValueError(
            "a database in memory would be lost with the process; "
            "name a file, as in sqlite:///kazoo-bridge.sqlite3"
        )
    if "uri" not in url.query:
        # Absolute, because the working directory may change later.
        url = url.set(database=str(Path(url.database or "").absolute()))
    engine = sa.create_engine(
        url,
        pool_size=READERS["sqlite"] + 1,
        max_overflow=0,
        pool_timeout=LOCK_TIMEOUT,
        hide_parameters=True,
        # Transactions begin in `begin` below: the sqlite3 module would begin them late, without the write
        # lock.
        connect_args={"isolation_level": None, "timeout": LOCK_TIMEOUT},
    )

    @event.listens_for(engine, "do_connect")
    def make_file(_dialect: Any, _record: Any, _args: Any, _kwargs: Any) -> None:
        if "uri" not in url.query:
            _make_private_file(str(url.database))

    @event.listens_for(engine, "connect")
    def prepare(dbapi_connection: sqlite3.Connection, _record: object) -> None:
        _prepare_sqlite(dbapi_connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(_WRITING)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _make_private_file(path: str) -> None:
    """Create the database file without access for other users: hook documents contain secrets.

    An existing file is not opened: closing it would drop the locks that SQLite holds in this process, and
    another process that ends afterwards would remove the write-ahead log while it is in use.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660))
    except FileExistsError:
        pass
    except OSError as error:
        unavailable = StorageUnavailable if error.errno in _PASSING else StorageUnusable
        raise unavailable(f"the database file {path} cannot be opened: {error.strerror}") from None


def _prepare_sqlite(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(LOCK_TIMEOUT * 1000)}")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _switch_to_wal(connection)
    # A commit must survive a power cut: the event is acknowledged to the broker after it.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for locks here: of two processes that start on a new file, one would fail.
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _postgresql(url: URL) -> Engine:
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=READERS["postgresql"] + 1,
        max_overflow=0,
        pool_timeout=LOCK_TIMEOUT,
        pool_pre_ping=True,
        pool_recycle=3600,
        hide_parameters=True,
        connect_args={
            "connect_timeout": LOCK_TIMEOUT,
            "application_name": "kazoo_bridge",
            "keepalives_idle": 30,
            "tcp_user_timeout": 20_000,
            "options": f"-c statement_timeout=60s -c lock_timeout={LOCK_TIMEOUT}s"
            " -c idle_in_transaction_session_timeout=60s",
        },
    )
