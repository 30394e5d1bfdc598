from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import example, given
from hypothesis import strategies as st

from kazoo_bridge import kazoo
from kazoo_bridge.kazoo import Event

account_ids = st.text("0123456789abcdef", min_size=32, max_size=32)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


# -- routing keys


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("abc-DEF_1~", "abc-DEF_1~"),
        ("a.b", "a%2Eb"),
        ("sip.example.com", "sip%2Eexample%2Ecom"),
        ("two words", "two+words"),
        ("1+1", "1%2B1"),
        ("100%", "100%25"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("a/b@c", "a%2Fb%40c"),
        ("*", "*"),
        ("#", "#"),
        ("**", "%2A%2A"),
        ("#1", "%231"),
        ("", ""),
    ],
)
def test_ids_in_routing_keys(text: str, part: str) -> None:
    assert kazoo.encode_key_part(text) == part
    assert kazoo.decode_key_part(part) == text


@given(st.text())
def test_encoding_an_id_is_reversible(text: str) -> None:
    assert kazoo.decode_key_part(kazoo.encode_key_part(text)) == text


@given(st.text().filter(lambda text: text not in ("*", "#")))
def test_an_encoded_id_is_one_plain_word(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_~+%-]*", kazoo.encode_key_part(text))


@given(st.text())
@example("%")
@example("%zz")
@example("%FF")
@example("\ud800")
def test_any_text_at_all_can_be_decoded(part: str) -> None:
    assert isinstance(kazoo.decode_key_part(part), str)


def test_lower_case_escapes_and_broken_utf8() -> None:
    assert kazoo.decode_key_part("a%2eb") == "a.b"
    assert kazoo.decode_key_part("a%FFb") == "a\ufffdb"


# -- accounts and their databases

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


# -- forms for the outside


@given(json_values)
def test_normalising_again_changes_nothing(value: Any) -> None:
    once = kazoo.normalize(value)
    assert kazoo.normalize(once) == once


def test_normalising_reaches_every_depth_and_leaves_values_alone() -> None:
    body = {
        "Call-ID": "A-B",
        "Nothing": None,
        "CCVs": {"Account-ID": 1, "Gone": None, "L": [{"X-Y": None, "Z-A": False}, None, (0,)]},
    }
    assert kazoo.normalize(body) == {
        "call_id": "A-B",
        "ccvs": {"account_id": 1, "l": [{"z_a": False}, None, [0]]},
    }
    assert body["Nothing"] is None


def test_the_public_form_has_no_optional_envelope() -> None:
    body = {"Event-Name": "X", "Account-ID": "a", "Call-ID": "c", "Custom": {"Node": "kept"}}
    hidden = dict.fromkeys(kazoo.OPTIONAL_ENVELOPE, "secret")
    assert kazoo.public_form({**hidden, **body}) == {
        "event_name": "X",
        "account_id": "a",
        "call_id": "c",
        "custom": {"node": "kept"},
    }


# -- time


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


# -- events


def test_events_name_themselves() -> None:
    event = Event("callevt", "k", {"Event-Name": "CHANNEL_CREATE", "Msg-ID": "m1"}, b"{}")
    assert (event.name, event.message_id, event.redelivered) == ("CHANNEL_CREATE", "m1", False)


@pytest.mark.parametrize("message_id", [None, "", 7, ["x"]])
def test_a_message_id_that_is_no_text_is_none(message_id: object) -> None:
    event = Event("callevt", "k", {"Msg-ID": message_id}, b"{}")
    assert event.message_id is None
    assert event.name == ""


def test_events_do_not_change_and_keep_their_bytes_out_of_logs() -> None:
    event = Event("callevt", "k", {}, b"raw bytes")
    with pytest.raises(FrozenInstanceError):
        event.routing_key = "other"  # type: ignore[misc]
    assert "raw bytes" not in repr(event)


def test_answers_come_on_a_direct_exchange_and_all_else_on_topics() -> None:
    assert {name for name, kind in kazoo.EXCHANGES.items() if kind != "topic"} == {kazoo.TARGETED}


@pytest.mark.parametrize("text", ["+4722555019", "4722555019", "+47 22 55.50-19", "+47 (22) 555019"])
def test_a_number_in_every_spelling(text: str) -> None:
    assert kazoo.normalize_number(text) == "4722555019"


@pytest.mark.parametrize(
    "text", [None, 47, "", "+", "1", "reception", "*97", "47+22", "٤٧٢٢", "1" * 33, " " * 100 + "123"]
)
def test_what_is_no_number(text: object) -> None:
    assert kazoo.normalize_number(text) is None
