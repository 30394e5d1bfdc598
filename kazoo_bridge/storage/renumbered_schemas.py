"""Databases of development versions in which a revision's number stood for other tables than today.

Several migrations were written at the same time, and some got another number before the next release. A
database of a version in between lacks one of them, although its revision says that it has it.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from attrs import frozen
from sqlalchemy import Connection, Inspector
from twisted.logger import Logger

_log = Logger()


@frozen
class _Renumbered:
    """Databases at `heads` that lack the migration `missing`; with it, they are at `then`.

    `applies_to` returns whether a database at `heads` lacks it.
    """

    heads: frozenset[str]
    applies_to: Callable[[Inspector], bool]
    missing: str
    then: str


def _has_column(inspector: Inspector, table: str, column: str) -> bool:
    return column in {one["name"] for one in inspector.get_columns(table)}


_RENUMBERED = (
    _Renumbered(
        frozenset({"0004"}), lambda inspector: not _has_column(inspector, "hooks", "secrets"), "0003", "0004"
    ),
    _Renumbered(frozenset({"0009", "0011"}), lambda _: True, "0010", "0011"),
    _Renumbered(
        frozenset({"0010"}), lambda inspector: _has_column(inspector, "tokens", "api_key"), "0010", "0011"
    ),
    _Renumbered(frozenset({"0014"}), lambda inspector: inspector.has_table("pivots"), "0014", "0015"),
)


def complete(connection: Connection, known: ScriptDirectory) -> None:
    """Run the migration that a database of a version in between lacks; nothing for all other databases.

    `known` has the migrations of this version of the code.
    """
    context = MigrationContext.configure(connection)
    heads = frozenset(context.get_current_heads())
    for one in _RENUMBERED:
        if one.heads == heads and one.applies_to(sa.inspect(connection)):
            _log.info("migrated what was missing to={revision}", revision=one.missing)
            with Operations.context(context):
                known.get_revision(one.missing).module.upgrade()
            version = sa.table("alembic_version", sa.column("version_num"))
            connection.execute(sa.delete(version))
            connection.execute(sa.insert(version).values(version_num=one.then))
            return
