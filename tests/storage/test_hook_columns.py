from __future__ import annotations

import pytest
from sqlalchemy import Column, Table

from kazoo_bridge.interfaces import Secret, Suspension
from kazoo_bridge.storage.hook_columns import (
    NO_HEADERS,
    NO_SECRETS,
    claim_probe,
    load_headers,
    load_secrets,
    load_suspension,
    private_values,
    return_probe,
    select_due,
    suspension_values,
)
from kazoo_bridge.storage.tables import hook_extras, hooks
from tests.storage.record_factories import NOW

SECRETS = (Secret("whsec_x", NOW), Secret("whsk_y"))


@pytest.mark.parametrize("suspension", [None, Suspension(NOW, NOW + 30, 2)])
def test_what_is_written_is_read(suspension: Suspension | None) -> None:
    values = private_values(SECRETS, {"x-key": "é\ud800"}, suspension)
    assert values["headers"].isascii()  # PostgreSQL's text does not accept every character
    assert load_secrets(values.pop("secrets")) == SECRETS
    assert load_headers(values.pop("headers")) == {"x-key": "é\ud800"}
    assert values == suspension_values(suspension)
    assert load_suspension(**values) == suspension


def test_a_hook_that_has_nothing() -> None:
    values = private_values((), {}, None)
    assert (values["secrets"], values["headers"]) == (NO_SECRETS, NO_HEADERS)
    assert (load_secrets(NO_SECRETS), load_headers(NO_HEADERS)) == ((), {})


@pytest.mark.parametrize(("table", "hook_id"), [(hooks, hooks.c.id), (hook_extras, hook_extras.c.hook_id)])
def test_statements_are_about_the_given_table(table: Table, hook_id: Column[str]) -> None:
    suspension = Suspension(NOW, NOW + 30, 2)
    assert f"deliveries.hook_id = {hook_id}" in str(select_due(table, hook_id, NOW))
    for statement in (claim_probe, return_probe):
        update = str(statement(table, hook_id == "x", suspension, NOW))
        assert update.startswith(f"UPDATE {table.name} SET next_probe=:next_probe, probes=:probes")
        assert f"{hook_id} = :" in update
