"""Describes database errors for operators: cause and place, without statements, values or passwords."""

from __future__ import annotations

import sqlite3

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_SQLITE = {
    "SQLITE_BUSY": "is locked by another process",
    "SQLITE_LOCKED": "is locked by another process",
    "SQLITE_FULL": "cannot grow: the disk is full",
    "SQLITE_CANTOPEN": "cannot be opened; is it a file in an existing folder, and may this user write there?",
    "SQLITE_READONLY": "is read-only for this user",
    "SQLITE_PERM": "is read-only for this user",
    "SQLITE_IOERR": "could not be read or written (input/output error); look at the disk",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup",
    "SQLITE_NOTADB": "is not an SQLite database",
    "SQLITE_PROTOCOL": "is locked by another process",
    "SQLITE_NOMEM": "could not be read: out of memory",
}


def describe(url: URL, error: Exception) -> str | None:
    """Describe an error of the database at `url` for an operator.

    Returns None if the database is fine and the statement is wrong: a programming error.
    """
    if not isinstance(error, DBAPIError):
        return f"no free connection to the {_place(url)}"
    if isinstance(error.orig, sqlite3.Error):
        return _describe_sqlite(url, error.orig)
    unavailable = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    # 25006: the server is read-only, such as a standby after a switch-over.
    if unavailable or getattr(error.orig, "sqlstate", None) == "25006":
        return f"the {_place(url)} refused: {_without_password(url, ' '.join(str(error.orig).split()))}"
    return None


def _describe_sqlite(url: URL, error: sqlite3.Error) -> str | None:
    # Extended names, such as SQLITE_IOERR_WRITE, begin with the primary name.
    name = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])
    words = _SQLITE.get(name)
    return f"the database file {url.database} {words}" if words else None


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"database file {url.database}"
    return f"database {url.database} at {url.host or 'the local socket'}"


def _without_password(url: URL, text: str) -> str:
    password = str(url.password or "")
    return text.replace(password, "***") if password else text
