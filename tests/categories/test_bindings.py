from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import evolve

from kazoo_bridge.categories.bindings import (
    account_segment,
    database_segment,
    id_segment,
    invalid_format,
    monthly_segments,
    realm_segment,
    unsupported_event,
)
from kazoo_bridge.interfaces import BindingRefused
from kazoo_bridge.testing import EXAMPLE_ACCOUNT
from tests.categories.category_calls import DB


def months(*moment: int) -> list[str]:
    """Return the months of the account's databases at a moment."""
    year, month, day, hour, minute = (*moment, 0, 0)[:5]
    now = datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()
    found, _ = monthly_segments(EXAMPLE_ACCOUNT, now)
    assert all(segment.startswith(f"{DB}-") for segment in found)
    return [segment.removeprefix(f"{DB}-") for segment in found]


def next_change(moment: datetime) -> datetime:
    _, until = monthly_segments(EXAMPLE_ACCOUNT, moment.timestamp())
    assert until is not None
    return datetime.fromtimestamp(until, UTC)


def test_around_the_turn_of_a_month_there_are_two_databases() -> None:
    assert months(2026, 12, 31, 22, 59) == ["202612"]
    assert months(2026, 12, 31, 23, 0) == ["202612", "202701"]
    assert months(2027, 1, 1, 0, 59) == ["202612", "202701"]
    assert months(2027, 1, 1, 1, 1) == ["202701"]


@pytest.mark.parametrize(
    ("moment", "change"),
    [
        (datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 30, 23, tzinfo=UTC)),
        (datetime(2026, 11, 30, 23, tzinfo=UTC), datetime(2026, 12, 1, 1, tzinfo=UTC)),
        (datetime(2026, 12, 1, 0, 30, tzinfo=UTC), datetime(2026, 12, 1, 1, tzinfo=UTC)),
        (datetime(2026, 12, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_the_next_change_is_an_hour_before_or_after_the_turn(moment: datetime, change: datetime) -> None:
    assert next_change(moment) == change


def test_the_segments_of_all_accounts_are_wildcards_that_never_change() -> None:
    assert monthly_segments(None, 0.0) == (["*"], None)
    assert account_segment(None) == database_segment(None) == realm_segment(None) == "*"


def test_the_segments_of_an_account() -> None:
    assert account_segment(EXAMPLE_ACCOUNT) == EXAMPLE_ACCOUNT.id
    assert database_segment(EXAMPLE_ACCOUNT) == DB
    assert realm_segment(EXAMPLE_ACCOUNT) == "voice%2Eexample%2Ecom"


@pytest.mark.parametrize("realm", ["", "*", "#"])
def test_an_account_without_a_realm_is_refused(realm: str) -> None:
    with pytest.raises(BindingRefused, match="has no realm"):
        realm_segment(evolve(EXAMPLE_ACCOUNT, realm=realm))


@pytest.mark.parametrize(
    ("written", "segment"),
    [("*", "*"), ("a@b", "a%40b"), ("a%40b", "a%40b"), ("a%2Eb", "a%2Eb"), ("x*", "x%2A")],
)
def test_ids_are_encoded_as_in_routing_keys(written: str, segment: str) -> None:
    assert id_segment("call", [written], written) == segment


@pytest.mark.parametrize("written", ["", "#", "%2A", "%2a", "%23"])
def test_encoded_wildcards_are_refused(written: str) -> None:
    with pytest.raises(BindingRefused, match=r"^invalid format for call subscription : X, "):
        id_segment("call", ["X", written], written)


def test_the_texts_of_refusals() -> None:
    assert str(unsupported_event("X")) == "event X not supported"
    assert str(invalid_format("call", ["a", "b"])) == "invalid format for call subscription : a, b"
