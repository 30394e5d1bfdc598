"""Copies an SQLite database, also before its tables are upgraded: the way back to the older version."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from kazoo_bridge.interfaces import StorageUnavailable

_KEY = "storage.backup_before_upgrade"


class CopyFailed(StorageUnavailable):
    """The database cannot be copied, so its tables are not upgraded."""


def copy_before_upgrade(database: Path, revision: str) -> Path:
    """Copy the database to ``FILE.before-REVISION``, which only the user can read; return that path.

    `revision` is the one that the tables are upgraded to. The caller holds the write lock, so the copy has
    everything that was written. A copy of an earlier upgrade to the same revision is replaced once the new
    one is complete. Raises `CopyFailed` without enough space, or if the copy cannot be written or is damaged;
    then nothing is left of it.
    """
    target = database.with_name(f"{database.name}.before-{revision}")
    partial = target.with_name(f"{target.name}.partial")
    _require_space(database)
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        copy_database(database, partial)
        partial.replace(target)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise CopyFailed(
            f"the tables are not upgraded, because the copy {target} cannot be written: {error}; "
            f"make room for it, or copy the database yourself and set {_KEY} = false"
        ) from None
    return target


def copy_database(database: Path, target: Path) -> None:
    """Copy an SQLite database to the empty file `target`, also while other processes write to it.

    The copy is the database as it is at one moment, in one file without a write-ahead log beside it. Raises
    `sqlite3.Error` if it cannot be made or is damaged; `target` is then the caller's to remove.
    """
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(target)) as copy:
        # In one step: SQLite begins a copy in several steps again after each commit of another connection.
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        (result,) = copy.execute("PRAGMA quick_check").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {result}")


def _require_space(database: Path) -> None:
    needed = sum(file.stat().st_size for file in (database, _log_of(database)) if file.exists())
    free = shutil.disk_usage(database.parent).free
    if free < needed:
        raise CopyFailed(
            f"the tables are not upgraded: a copy of {database} needs {needed} bytes, and {free} are free; "
            f"make room for it, or copy the database yourself and set {_KEY} = false"
        )


def _log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")
