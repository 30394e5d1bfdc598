from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kazoo_bridge.storage import engine, migrate
from tests.storage.schemas import SCHEMAS, create

#: The versions of the tables in which a revision had another number: the revision whose tables they are
#: (with those of later ones), what they lack of it, and the revisions that they say.
IN_BETWEEN = {
    "without signatures": ("0004", ["ALTER TABLE hooks DROP COLUMN secrets"], ["0004"]),
    "two branches": (
        "0011",
        [
            "ALTER TABLE attempts DROP COLUMN event_account_id",
            "ALTER TABLE deliveries DROP COLUMN event_account_id",
        ],
        ["0009", "0011"],
    ),
    "tokens of API keys first": (
        "0011",
        [
            "ALTER TABLE attempts DROP COLUMN event_account_id",
            "ALTER TABLE deliveries DROP COLUMN event_account_id",
        ],
        ["0010"],
    ),
    "pivots first": ("0015", ["ALTER TABLE accounts DROP COLUMN enabled"], ["0014"]),
}


Layout = dict[str, list[tuple[str, str, str]]]


def layout(file: Path) -> Layout:
    """The columns of each table, and the names of the indexes."""
    with closing(sqlite3.connect(file)) as connection:
        found: Layout = {}
        for kind, name in connection.execute("SELECT type, name FROM sqlite_master").fetchall():
            columns = connection.execute(f"PRAGMA table_info({name})") if kind == "table" else ()
            found[f"{kind} {name}"] = sorted((column[1], column[2], str(column[4])) for column in columns)
        return found


def upgraded(file: Path) -> Layout:
    opened = engine.open_engine(f"sqlite:///{file}")
    migrate.upgrade(opened, copy=False)
    opened.dispose()
    with closing(sqlite3.connect(file)) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert revision == (migrate.scripts().get_current_head(),)
    return layout(file)


@pytest.mark.parametrize(("base", "statements", "revisions"), IN_BETWEEN.values(), ids=IN_BETWEEN)
def test_it_gets_what_it_lacks(
    tmp_path: Path, base: str, statements: list[str], revisions: list[str]
) -> None:
    with closing(create(tmp_path / "between.sqlite3", base)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("DELETE FROM alembic_version")
        connection.executemany("INSERT INTO alembic_version VALUES (?)", [(one,) for one in revisions])
    create(tmp_path / "released.sqlite3", base).close()
    assert upgraded(tmp_path / "between.sqlite3") == upgraded(tmp_path / "released.sqlite3")


@pytest.mark.parametrize("revision", ["0004", "0010", "0014"])
def test_a_released_version_stays_as_it_is(tmp_path: Path, revision: str) -> None:
    create(tmp_path / "released.sqlite3", revision).close()
    create(tmp_path / "newest.sqlite3", list(SCHEMAS)[-1]).close()
    assert upgraded(tmp_path / "released.sqlite3") == upgraded(tmp_path / "newest.sqlite3")
