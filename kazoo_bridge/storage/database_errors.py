"""Describes database errors for operators: cause and place, without statements, values or passwords."""

from __future__ import annotations

import re
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


#: Errors of SQLite that go on until a person has changed the URI, the file or its folder.
_SQLITE_PERMANENT = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CORRUPT", "SQLITE_NOTADB")

#: The same in PostgreSQL's errors, which have no code before the login.
_POSTGRESQL_PERMANENT = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry"
    r'|(?:database|role|user) "[^"]*" does not exist|invalid (?:connection option|port number)'
)

#: A word that messages may have, such as "server" or "Database": a password of this form is masked only where
#: passwords stand. Longer ones are masked everywhere, as a generated password may have only small letters.
_WORD = re.compile(r"[A-Z]?[a-z]{0,8}|.{0,5}")


def is_permanent(error: Exception) -> bool:
    """Return whether an error goes on until the URI of the database, or the database, is changed."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        return _sqlite_name(original) in _SQLITE_PERMANENT
    return _POSTGRESQL_PERMANENT.search(str(original)) is not None


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
    words = _SQLITE.get(_sqlite_name(error))
    return f"the database file {url.database} {words}" if words else None


def _sqlite_name(error: sqlite3.Error) -> str:
    # Extended names, such as SQLITE_IOERR_WRITE, begin with the primary name.
    return "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"database file {url.database}"
    return f"database {url.database} at {url.host or 'the local socket'}"


def _without_password(url: URL, text: str) -> str:
    """Mask the password where passwords stand, and everywhere as a whole word unless it is an ordinary one.

    The words of a message must not change: ``***ort 1 failed`` would show that the password is ``p``.
    """
    password = str(url.password or "")
    if not password:
        return text
    masked = re.escape(password)
    text = re.sub(rf"(://[^\s/@]*:){masked}(?=@)", r"\1***", text)
    text = re.sub(rf"(?i)(pass(?:word|wd)?\s*[=:]\s*)(['\"]?){masked}(?!\w)", r"\1\2***", text)
    text = re.sub(rf"(['\"]){masked}(?=['\"])", r"\1***", text)
    return text if _WORD.fullmatch(password) else re.sub(rf"(?<!\w){masked}(?!\w)", "***", text)
