from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge import kazoo

account_ids = st.text("0123456789abcdef", min_size=32, max_size=32)
ACCOUNT = "4f2c" + "0123456789abcdef" * 1 + "0a1b2c3d4e5f"


@pytest.mark.parametrize(
    "database",
    [
        f"account%2F4f%2F2c%2F{ACCOUNT[4:]}",
        f"account%2f4f%2f2c%2f{ACCOUNT[4:]}",
        f"account/4f/2c/{ACCOUNT[4:]}",
        f"account%2F4f%2F2c%2F{ACCOUNT[4:]}-202411",
        f"account/4f/2c/{ACCOUNT[4:]}-202411",
    ],
)
def test_the_account_of_a_database_in_every_spelling(database: str) -> None:
    assert kazoo.account_from_db(database) == ACCOUNT


@pytest.mark.parametrize(
    "database",
    [
        "accounts",
        "",
        None,
        7,
        ACCOUNT,
        f"account%2F4f%2F2c%2F{ACCOUNT[4:-1]}",
        f"account%2F4F%2F2C%2F{ACCOUNT[4:]}",
        f"account%2F4f%2F2c%2F{ACCOUNT[4:]}-2024",
        f"account%2F4f%2F2c%2F{ACCOUNT[4:]}-202411\n",
        f" account%2F4f%2F2c%2F{ACCOUNT[4:]}",
    ],
)
def test_other_databases_have_no_account(database: object) -> None:
    assert kazoo.account_from_db(database) is None


@given(account_ids, st.integers(2000, 2100), st.integers(1, 12))
def test_an_accounts_databases_lead_back_to_it(account_id: str, year: int, month: int) -> None:
    assert kazoo.account_from_db(kazoo.account_db(account_id)) == account_id
    monthly = kazoo.monthly_db(account_id, year, month)
    assert kazoo.account_from_db(monthly) == account_id
    assert monthly == f"{kazoo.account_db(account_id)}-{year}{month:02}"


@given(account_ids)
def test_account_ids(account_id: str) -> None:
    assert kazoo.is_account_id(account_id)
    assert not kazoo.is_account_id(account_id + "0")
    assert not kazoo.is_account_id(account_id + "\n")
    assert not kazoo.is_account_id(account_id[:-1] + "G")
    assert not kazoo.is_account_id(account_id.encode())


@pytest.mark.parametrize("text", ["+4722555019", "4722555019", "+47 22 55.50-19", "+47 (22) 555019"])
def test_a_number_in_every_spelling(text: str) -> None:
    assert kazoo.normalize_number(text) == "4722555019"


@pytest.mark.parametrize(
    "text", [None, 47, "", "+", "1", "reception", "*97", "47+22", "٤٧٢٢", "1" * 33, " " * 100 + "123"]
)
def test_what_is_no_number(text: object) -> None:
    assert kazoo.normalize_number(text) is None


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
