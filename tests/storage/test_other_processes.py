from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from kazoo_bridge.storage import migrate
from kazoo_bridge.storage.engine import in_transaction, open_engine

_VISIT = """
import sys, sqlite3
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM accounts").fetchone()[0])
connection.close()
"""


def _insert(number: int) -> sa.TextClause:
    return sa.text(
        f"INSERT INTO accounts (id, parent_id, name, realm, superadmin, created) VALUES ('{number:032x}', NULL, '', '', false, 0)"
    )


def test_what_is_written_after_another_process_came_and_went_is_kept(tmp_path: Path) -> None:
    """The last user of a write-ahead log removes it; nobody may believe to be that user while this process is."""
    path = tmp_path / "shared.sqlite3"
    engine = open_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)

    def visit() -> int:
        return int(
            subprocess.run(
                [sys.executable, "-c", _VISIT, path], capture_output=True, text=True, check=True
            ).stdout
        )

    with engine.connect() as first, engine.connect() as second, engine.connect() as third:
        # Three connections were opened one after another, as a service's pool does it.
        for connection in (first, second, third):
            connection.exec_driver_sql("SELECT 1")
            connection.rollback()
        assert visit() == 0
    for number in range(3):
        in_transaction(engine, lambda connection, n=number: connection.execute(_insert(n)), writing=True)
        assert visit() == number + 1
    engine.dispose()
    assert visit() == 3
