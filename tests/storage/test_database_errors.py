from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError

from kazoo_bridge.storage.database_errors import describe, is_permanent

POSTGRESQL = sa.make_url("postgresql+psycopg://bridge:hunter2@db/kazoo")
SQLITE = sa.make_url("sqlite:////var/lib/x.sqlite3")


def wrap(kind: type[DBAPIError], original: Exception) -> DBAPIError:
    return kind("SELECT secret", None, original)


def sqlite_error(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("SELECT secret")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SQLITE_BUSY", "is locked by another process"),
        ("SQLITE_BUSY_SNAPSHOT", "is locked by another process"),
        ("SQLITE_FULL", "cannot grow: the disk is full"),
        ("SQLITE_IOERR_WRITE", "could not be read or written (input/output error); look at the disk"),
        ("SQLITE_CORRUPT", "is damaged; restore it from a backup"),
    ],
)
def test_an_error_of_an_sqlite_file_names_the_file(name: str, reason: str) -> None:
    error = wrap(OperationalError, sqlite_error(name))
    assert describe(SQLITE, error) == f"the database file /var/lib/x.sqlite3 {reason}"


def test_an_error_in_a_statement_is_not_described() -> None:
    assert describe(SQLITE, wrap(OperationalError, sqlite_error("SQLITE_ERROR"))) is None
    assert describe(SQLITE, wrap(OperationalError, sqlite3.OperationalError("no name"))) is None
    assert describe(POSTGRESQL, wrap(ProgrammingError, Exception("syntax error"))) is None


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_an_error_of_a_server_is_repeated_on_one_line_without_the_password(kind: type[DBAPIError]) -> None:
    error = wrap(kind, Exception("bad word:\n  hunter2"))
    assert describe(POSTGRESQL, error) == "the database kazoo at db refused: bad word: ***"


def test_a_url_without_a_password() -> None:
    url = sa.make_url("postgresql+psycopg:///kazoo")
    error = wrap(OperationalError, Exception("no such host"))
    assert describe(url, error) == "the database kazoo at the local socket refused: no such host"


def test_a_lost_connection_is_described() -> None:
    error = wrap(ProgrammingError, Exception("terminating connection"))
    error.connection_invalidated = True
    assert describe(POSTGRESQL, error) == "the database kazoo at db refused: terminating connection"


@pytest.mark.parametrize(("sqlstate", "described"), [("25006", True), ("42601", False)])
def test_a_read_only_server_is_described(sqlstate: str, described: bool) -> None:
    original = Exception("cannot execute INSERT in a read-only transaction")
    original.sqlstate = sqlstate  # type: ignore[attr-defined] # psycopg's attribute
    assert (describe(POSTGRESQL, wrap(DBAPIError, original)) is not None) is described


@pytest.mark.parametrize(
    ("url", "place"),
    [(SQLITE, "database file /var/lib/x.sqlite3"), (POSTGRESQL, "database kazoo at db")],
)
def test_an_exhausted_pool_is_described(url: sa.URL, place: str) -> None:
    assert describe(url, sa.exc.TimeoutError()) == f"no free connection to the {place}"


@pytest.mark.parametrize(
    ("password", "text", "shown"),
    [
        ("p", 'connection to "db", port 1 failed: p', 'connection to "db", port 1 failed: p'),
        ("port", "port 1 failed", "port 1 failed"),
        ("5432", "port 5432 failed", "port 5432 failed"),
        ("p", "postgresql://bridge:p@db/kazoo", "postgresql://bridge:***@db/kazoo"),
        ("port", "password=port port=1", "password=*** port=1"),
        ("port", "PGPASSWORD: 'port' port", "PGPASSWORD: '***' port"),
        (
            "port",
            'missing "=" after "port" in the connection string',
            'missing "=" after "***" in the connection string',
        ),
        ("hunter2", "hunter2 hunter22", "*** hunter22"),
        ("a.b*c.d", "no a.b*c.d", "no ***"),
        ("password", "password authentication failed", "password authentication failed"),
        ("Database", "Database not found", "Database not found"),
        ("qwertzuio", "bad word: qwertzuio", "bad word: ***"),
        ("Correcthorsebattery", "bad word: Correcthorsebattery", "bad word: ***"),
    ],
)
def test_a_password_is_masked_and_the_words_of_a_message_are_not(
    password: str, text: str, shown: str
) -> None:
    url = POSTGRESQL.set(password=password)
    assert (
        describe(url, wrap(OperationalError, Exception(text))) == f"the database kazoo at db refused: {shown}"
    )


@pytest.mark.parametrize(
    ("original", "permanent"),
    [
        (sqlite_error("SQLITE_CANTOPEN"), True),
        (sqlite_error("SQLITE_READONLY_DIRECTORY"), True),
        (sqlite_error("SQLITE_NOTADB"), True),
        (sqlite_error("SQLITE_BUSY"), False),
        (sqlite_error("SQLITE_FULL"), False),
        (Exception('FATAL:  password authentication failed for user "bridge"'), True),
        (Exception('FATAL:  database "kazoo" does not exist'), True),
        (Exception("connection to server failed: Connection refused"), False),
        (Exception("FATAL:  the database system is starting up"), False),
        (Exception("could not translate host name"), False),
    ],
)
def test_what_waiting_cannot_change(original: Exception, permanent: bool) -> None:
    assert is_permanent(wrap(OperationalError, original)) is permanent
