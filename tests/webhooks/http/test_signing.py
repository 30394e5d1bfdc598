from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.interfaces import Secret
from kazoo_bridge.webhooks.http.signing import (
    DEFAULT_OVERLAP,
    BadSecret,
    generate_secret,
    signature_headers,
    updated_secrets,
)

NOW = 1_700_000_000.0
ONE, TWO, THREE, FOUR = (generate_secret() for _ in range(4))


def by_hand(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    raw = base64.b64decode(secret[len("whsec_") :])
    return (
        "v1,"
        + base64.b64encode(
            hmac.new(raw, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        ).decode()
    )


def test_the_published_example() -> None:
    # The example of the Standard Webhooks libraries.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signature_headers(
        [Secret(secret)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers == {
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.binary(), st.text(st.characters(codec="ascii", exclude_characters=". ")))
def test_any_body_is_signed_as_by_hand(body: bytes, webhook_id: str) -> None:
    headers = signature_headers([Secret(ONE)], webhook_id, NOW + 0.7, body)
    assert headers["webhook-signature"] == by_hand(ONE, webhook_id, "1700000000", body)


@given(st.binary(), st.binary())
def test_another_body_has_another_signature(body: bytes, other: bytes) -> None:
    same = signature_headers([Secret(ONE)], "m", NOW, body) == signature_headers(
        [Secret(ONE)], "m", NOW, other
    )
    assert same is (body == other)


def test_every_valid_secret_signs_the_newest_first() -> None:
    known = [Secret(ONE), Secret(TWO, NOW + 1), Secret(THREE, NOW)]
    headers = signature_headers(known, "m", NOW, b"x")
    assert headers["webhook-signature"].split() == [
        by_hand(secret, "m", "1700000000", b"x") for secret in (ONE, TWO)
    ]
    assert signature_headers(known[2:], "m", NOW, b"x") == {}


def test_what_documents_ask_for() -> None:
    known = (Secret(ONE),)
    assert updated_secrets({}, known, NOW) is None
    assert updated_secrets({"secret": None}, known, NOW) == ()
    assert updated_secrets({"secret": False}, known, NOW) == ()
    assert updated_secrets({"secret": TWO}, (), NOW) == (Secret(TWO),)
    assert updated_secrets({"secret": TWO}, known, NOW) == (Secret(TWO), Secret(ONE, NOW + DEFAULT_OVERLAP))
    assert updated_secrets({"secret": TWO, "secret_overlap_seconds": 0}, known, NOW) == (Secret(TWO),)
    assert updated_secrets({"secret": ONE}, known, NOW) == (Secret(ONE),)
    made = updated_secrets({"secret": True}, (), NOW)
    assert made is not None
    assert len(base64.b64decode(made[0].value.removeprefix("whsec_"))) == 32
    assert "whsec" not in repr(made)


def test_at_most_three_are_valid_and_no_overlap_grows_longer() -> None:
    known = (Secret(ONE), Secret(TWO, NOW + 5), Secret(THREE, NOW + 9))
    assert updated_secrets({"secret": FOUR, "secret_overlap_seconds": 100}, known, NOW) == (
        Secret(FOUR),
        Secret(ONE, NOW + 100),
        Secret(TWO, NOW + 5),
    )
    assert updated_secrets({"secret": FOUR}, (Secret(ONE), Secret(TWO, NOW - 5)), NOW) == (
        Secret(FOUR),
        Secret(ONE, NOW + DEFAULT_OVERLAP),
    )


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "hunter2",
        "whsec_",
        "whsec_***",
        "whsec_aHVudGVyMg==",
        "whsec_" + "A" * 400,
        7,
        1.0,
        [],
        {},
        "whsec_ž",
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(secret: Any) -> None:
    with pytest.raises(BadSecret) as refused:
        updated_secrets({"secret": secret}, (), NOW)
    assert list(refused.value.errors) == ["secret"]
    assert "hunter2" not in str(refused.value.errors)
    assert "aHVudGVyMg" not in str(refused.value.errors)


@pytest.mark.parametrize("overlap", [-1, 604_801, "60", 1.5, True, None])
def test_overlaps_that_cannot_be(overlap: Any) -> None:
    with pytest.raises(BadSecret) as refused:
        updated_secrets({"secret": True, "secret_overlap_seconds": overlap}, (), NOW)
    assert list(refused.value.errors) == ["secret_overlap_seconds"]
