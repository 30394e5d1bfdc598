"""An SQLAlchemy engine for the configured URI, and one transaction on it. Blocking; knows no reactor."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage.database_errors import describe

T = TypeVar("T")

#: How many reads run at once.
READERS = {"sqlite": 2, "postgresql": 4}

#: Seconds to wait for a lock that another process holds, and for a connection.
LOCK_TIMEOUT = 5

_WRITING = "kazoo_bridge_writing"


def open_engine(uri: str) -> Engine:
    """An engine for ``sqlite:///FILE`` or ``postgresql+psycopg://…``; connects to nothing yet.

    Raises `ValueError`, which never repeats the URI's password, when the URI is neither.
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
    """Run `work` in one transaction: committed when it returns, rolled back when it raises.

    `writing` takes SQLite's write lock at once, so that what `work` reads still holds when it writes.
    Raises `StorageUnavailable` for what is the database's fault, and whatever `work` raises.
    """
    try:
        with engine.connect() as connection:
            connection.execution_options(**{_WRITING: writing})
            with connection.begin():
                return work(connection)
    except (DBAPIError, NoFreeConnection) as error:
        words = describe(engine.url, error)
        if words is None:
            raise
        raise StorageUnavailable(words) from None


def readers(engine: Engine) -> int:
    """How many reads may run at once."""
    return READERS[engine.dialect.name]


def _sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise ValueError(
            "a database in memory would be lost with the process; name a file, as in sqlite:///kazoo-bridge.sqlite3"
        )
    if "uri" not in url.query:
        # The working directory may change later; the file shall not.
        url = url.set(database=str(Path(url.database or "").absolute()))
    engine = sa.create_engine(
        url,
        pool_size=READERS["sqlite"] + 1,
        max_overflow=0,
        pool_timeout=LOCK_TIMEOUT,
        hide_parameters=True,
        # Transactions are begun below: the sqlite3 module would begin them late and without the write lock.
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
    """Hook documents hold customers' secrets, and SQLite would let everybody read them.

    A file that is there already is not even opened: closing it would take this process's locks away from SQLite, and another
    process that then ends would remove the write-ahead log under our feet.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660))
    except FileExistsError:
        pass
    except OSError as error:
        raise StorageUnavailable(f"the database file {path} cannot be opened: {error.strerror}") from None


def _prepare_sqlite(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(LOCK_TIMEOUT * 1000)}")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        _switch_to_wal(connection)
    # What is committed must outlive a power cut, too: the broker forgets an event once it has been written.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for a lock here, so two processes that start on a new file would refuse each other.
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
            "options": f"-c statement_timeout=60s -c lock_timeout={LOCK_TIMEOUT}s -c idle_in_transaction_session_timeout=60s",
        },
    )
