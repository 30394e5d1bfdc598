from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge import kazoo

ACCOUNT = "a" * 32


@pytest.mark.parametrize("value", [None, "text", [1], 7])
def test_channel_variables_that_are_no_object_are_none(value: Any) -> None:
    assert kazoo.channel_variables({"Custom-Channel-Vars": value}) == {}
    assert kazoo.channel_account_id({"Custom-Channel-Vars": value}) is None


def test_the_account_is_a_channel_variable() -> None:
    assert kazoo.channel_account_id({"Custom-Channel-Vars": {"Account-ID": ACCOUNT}}) == ACCOUNT


@pytest.mark.parametrize("account_id", [None, "short", 7, ACCOUNT.upper()])
def test_what_is_no_account_id_is_no_account(account_id: Any) -> None:
    assert kazoo.channel_account_id({"Custom-Channel-Vars": {"Account-ID": account_id}}) is None


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ({"Request": "+4722555019@r", "To": "2001@r"}, "+4722555019"),
        ({"Request": "sip:4722555019@r"}, "4722555019"),
        ({"Request": "4722555019"}, "4722555019"),
        ({"To": "4722555019@r"}, "4722555019"),
        ({"Request": "reception@r", "To": "2001@r"}, "2001"),
        ({"Request": "reception@r"}, None),
        ({"Request": ["x"], "To": None}, None),
        ({}, None),
    ],
)
def test_the_called_number(body: dict[str, Any], number: str | None) -> None:
    assert kazoo.called_number(body) == number


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"Channel-Is-Loopback": True}, True),
        ({"Channel-Is-Loopback": "true"}, True),
        ({"Channel-Name": "loopback/x-a"}, True),
        ({"Channel-Is-Loopback": "false", "Channel-Name": "sofia/loopback/x"}, False),
        ({"Channel-Name": ["loopback/x"]}, False),
        ({}, False),
    ],
)
def test_loopback_legs(body: dict[str, Any], expected: bool) -> None:
    assert kazoo.is_loopback(body) is expected


@pytest.mark.parametrize(("timestamp", "start"), [(63961574400, 63961574400), ("5", 5), ("x", 0), (None, 0)])
def test_the_start_of_a_channel(timestamp: Any, start: int) -> None:
    assert kazoo.channel_start({"timestamp": timestamp}) == start
