from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS

_PAGE = Path(__file__).parents[2] / "docs/reference/calls.md"


@pytest.mark.parametrize("name", sorted(COMMAND_SCHEMAS))
def test_the_schemas_are_valid_and_name_all_special_keys(name: str) -> None:
    schema = COMMAND_SCHEMAS[name]
    Draft202012Validator.check_schema({"properties": dict(schema.properties)})
    assert {*schema.required, *schema.any_of, *schema.defaults} <= set(schema.properties)


@pytest.mark.parametrize("name", sorted(COMMAND_SCHEMAS))
def test_every_command_and_key_is_documented(name: str) -> None:
    (row,) = [
        line
        for line in _PAGE.read_text().splitlines()
        # The table with what shows a command's effect has a column more.
        if line.startswith("| `") and f"`{name}`" in line.split("|")[1] and line.count("|") == 3
    ]
    keys = row.split("|")[2]
    missing = [
        key for key in COMMAND_SCHEMAS[name].properties if f"`{key}`" not in keys and key != "transfer_type"
    ]
    assert not missing
