from __future__ import annotations

import pytest

from kazoo_bridge.directory.jwt_claims import MAX_TOKEN_LENGTH, may_be_token, parse_time


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (1_790_000_000, 1_790_000_000.0),
        (1.5, 1.5),
        (-1, -1.0),
        (2**53 - 1, 2.0**53 - 1),
        (2**53, None),
        (-(2**53), None),
        (True, None),
        (None, None),
        ("1", None),
        (float("inf"), None),
        (float("nan"), None),
    ],
)
def test_a_time_is_a_number_of_a_sensible_size(value: object, expected: float | None) -> None:
    assert parse_time(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", True),
        ("x" * MAX_TOKEN_LENGTH, True),
        ("x" * (MAX_TOKEN_LENGTH + 1), False),
        ("", False),
        ("ø", False),
        ("\ud800", False),
    ],
)
def test_a_token_has_a_bounded_length_and_is_ascii(text: str, expected: bool) -> None:
    assert may_be_token(text) is expected
