"""The tables of each version of the storage, as SQLite shows them, kept as they were released.

``python -m tests.storage.schemas`` adds the versions that are missing. What is there must not change.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command
from sqlalchemy import Connection

from kazoo_bridge.storage import engine, migrate

FILE = Path(__file__).parent / "data" / "schemas.json"

#: The statements that create the tables, in their order, by revision.
SCHEMAS: Mapping[str, Sequence[str]] = json.loads(FILE.read_text()) if FILE.exists() else {}

_STATEMENTS = (
    "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' "
    "AND name != 'alembic_version' ORDER BY rowid"
)


def revisions() -> list[str]:
    """All revisions, the first one first."""
    return [script.revision for script in migrate.scripts().walk_revisions()][::-1]


def dump(revision: str) -> list[str]:
    """Run the migrations up to a revision, and return the statements that create its tables."""
    with TemporaryDirectory() as folder:
        file = f"{folder}/dumped.sqlite3"
        opened = engine.open_engine(f"sqlite:///{file}")
        config = migrate.make_config()

        def upgrade(connection: Connection) -> None:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

        engine.in_transaction(opened, upgrade, writing=True)
        opened.dispose()
        with closing(sqlite3.connect(file)) as connection:
            return [row[0] for row in connection.execute(_STATEMENTS)]


def create(file: Path, revision: str) -> sqlite3.Connection:
    """Create a database as the version of the revision has made it; the caller closes the connection."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute("INSERT INTO alembic_version VALUES (?)", [revision])
    for statement in SCHEMAS[revision]:
        connection.execute(statement)
    return connection


if __name__ == "__main__":
    schemas = {revision: SCHEMAS.get(revision) or dump(revision) for revision in revisions()}
    FILE.write_text(json.dumps(schemas, indent=1) + "\n")
