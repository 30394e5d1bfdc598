from __future__ import annotations

from typing import Any, cast

import pytest
from attrs import evolve
from sqlalchemy import Row

from kazoo_bridge.interfaces import UNTIL_ENABLED
from kazoo_bridge.storage.delivery_rows import for_display, from_row, to_row
from tests.storage.record_factories import make_delivery


class FakeRow:
    """A row with these values."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def as_row(values: dict[str, Any]) -> Row[Any]:
    return cast("Row[Any]", FakeRow(**values))


def test_a_row_becomes_the_same_delivery() -> None:
    delivery = make_delivery(
        "x", inline_hook={"uri": "http://x/"}, attempts=3, replayed_at=5.0, event_account_id="b" * 32
    )
    assert from_row(as_row(to_row(delivery, 100.0, "slow"))) == delivery


@pytest.mark.parametrize(
    ("next_attempt", "status", "stored"),
    [(None, "dead", 0.0), (UNTIL_ENABLED, "held", 0.0), (7.5, "pending", 7.5), (0.0, "pending", 0.0)],
)
def test_the_time_of_the_next_attempt_is_also_the_status(
    next_attempt: float | None, status: str, stored: float
) -> None:
    values = to_row(make_delivery("x"), next_attempt, "")
    assert (values["status"], values["next_attempt"]) == (status, stored)


@pytest.mark.parametrize("broken", ["{", "[]", "[" * 100_000])
@pytest.mark.parametrize("column", ["payload", "own_hook"])
def test_a_row_that_cannot_be_read_is_shown_without_its_content(broken: str, column: str) -> None:
    delivery = make_delivery("x", inline_hook={"uri": "http://x/"})
    row = as_row({**to_row(delivery, None, ""), column: broken})
    with pytest.raises(ValueError, match=r"."):
        from_row(row)
    assert for_display(row) == evolve(delivery, payload={}, inline_hook=None)
