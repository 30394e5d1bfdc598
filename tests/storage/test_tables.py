from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
import pytest_twisted
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from kazoo_bridge.storage import tables
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import dump_json


class TablesSuite:
    @pytest_twisted.ensureDeferred
    async def test_the_migrated_tables_are_those_of_the_code(self, database: Database) -> None:
        def differences(connection: Connection) -> list[Any]:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            return list(compare_metadata(context, tables.metadata))

        assert await database.read(differences) == []


class TestTables(TablesSuite):
    """On SQLite."""


def test_json_columns_contain_ascii_only() -> None:
    value = {"text": "a\0b\ud800 ž 🎧", "list": [1, None]}
    dumped = dump_json(value)
    assert dumped.isascii()
    assert dumped.isprintable()
    assert json.loads(dumped) == value


def test_options_of_json_columns() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json({"x": float("inf")}, allow_nan=False)
    assert dump_json({"x": MappingProxyType({"y": 1})}, default=dict) == '{"x":{"y":1}}'
