from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge import kazoo


@pytest.mark.parametrize(
    "moment", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2024, 2, 29, 12, 30, 1, tzinfo=UTC)]
)
def test_gregorian_seconds_count_from_the_year_zero(moment: datetime) -> None:
    # The year 0 has 366 days and lies before what datetime can say.
    since_year_one = int((moment - datetime(1, 1, 1, tzinfo=UTC)).total_seconds())
    assert kazoo.to_gregorian(moment.timestamp()) == since_year_one + 366 * 86400


@given(st.integers(0, 2**40))
def test_gregorian_seconds_lead_back(unix_seconds: int) -> None:
    assert kazoo.from_gregorian(kazoo.to_gregorian(unix_seconds)) == unix_seconds


def test_fractions_of_gregorian_seconds_are_dropped() -> None:
    assert kazoo.to_gregorian(1.9) == kazoo.GREGORIAN_OFFSET + 1


@pytest.mark.parametrize("value", [True, "true", "True", "TRUE"])
def test_booleans_may_be_text(value: object) -> None:
    assert kazoo.is_true(value)


@pytest.mark.parametrize("value", [False, None, "false", "", "yes", 1, ["true"]])
def test_nothing_else_is_true(value: object) -> None:
    assert not kazoo.is_true(value)
