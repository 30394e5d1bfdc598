"""New SQLite databases with all tables: copies of a database that is migrated once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from kazoo_bridge.storage import migrate
from kazoo_bridge.storage.engine import open_engine


def make_migrated_database(path: Path) -> str:
    """Create a database file with all tables and no rows, unless there is one; returns its URI."""
    if not path.exists():
        path.touch(0o660)
        path.write_bytes(_template())
    return f"sqlite:///{path}"


@cache
def _template() -> bytes:
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/template.sqlite3")
        migrate.upgrade(engine)
        engine.dispose()
        return Path(folder, "template.sqlite3").read_bytes()
