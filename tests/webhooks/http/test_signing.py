from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

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


def sign_by_hand(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
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
def test_any_body_is_signed(body: bytes, webhook_id: str) -> None:
    headers = signature_headers([Secret(ONE)], webhook_id, NOW + 0.7, body)
    assert headers["webhook-signature"] == sign_by_hand(ONE, webhook_id, "1700000000", body)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers()))
def test_the_reference_library_accepts_each_signature(document: dict[str, int]) -> None:
    body, now = json.dumps(document, ensure_ascii=False).encode(), time.time()
    headers = {
        "webhook-id": "msg_1",
        **signature_headers([Secret(ONE), Secret(TWO, now + 1)], "msg_1", now, body),
    }
    for secret in (ONE, TWO):
        assert Webhook(secret).verify(body, headers) == document
    with pytest.raises(WebhookVerificationError):
        Webhook(THREE).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(ONE).verify(body + b" ", headers)


def test_the_reference_library_makes_the_same_signature() -> None:
    timestamp = datetime.fromtimestamp(NOW, UTC)
    signature = Webhook(ONE).sign("msg_1", timestamp, '{"ü": 1}')
    headers = signature_headers([Secret(ONE)], "msg_1", NOW, '{"ü": 1}'.encode())
    assert headers["webhook-signature"] == signature


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
        sign_by_hand(secret, "m", "1700000000", b"x") for secret in (ONE, TWO)
    ]
    assert signature_headers(known[2:], "m", NOW, b"x") == {}


def test_secrets_are_kept_replaced_generated_or_removed() -> None:
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


def test_at_most_three_secrets_are_valid_and_no_overlap_grows_longer() -> None:
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
def test_an_invalid_secret_is_refused_and_not_repeated(secret: Any) -> None:
    with pytest.raises(BadSecret) as refused:
        updated_secrets({"secret": secret}, (), NOW)
    assert list(refused.value.errors) == ["secret"]
    assert "hunter2" not in str(refused.value.errors)
    assert "aHVudGVyMg" not in str(refused.value.errors)


@pytest.mark.parametrize("overlap", [-1, 604_801, "60", 1.5, True, None])
def test_an_invalid_overlap_is_refused(overlap: Any) -> None:
    with pytest.raises(BadSecret) as refused:
        updated_secrets({"secret": True, "secret_overlap_seconds": overlap}, (), NOW)
    assert list(refused.value.errors) == ["secret_overlap_seconds"]


@pytest.mark.parametrize("form", [60, 60.0])
def test_the_overlap_of_secrets_is_an_integer(form: Any) -> None:
    secrets = updated_secrets({"secret": TWO, "secret_overlap_seconds": form}, (Secret(ONE),), 100.0)
    assert secrets == (Secret(TWO), Secret(ONE, 160.0))


@pytest.mark.parametrize(
    ("form", "rule"),
    [
        (True, "type"),
        (1.5, "type"),
        (math.nan, "type"),
        (10**400, "type"),
        (-1.0, "minimum"),
        (1e9, "maximum"),
    ],
)
def test_an_invalid_overlap_is_refused_with_its_rule(form: Any, rule: str) -> None:
    with pytest.raises(BadSecret) as refused:
        updated_secrets({"secret": True, "secret_overlap_seconds": form}, (), 0)
    assert list(refused.value.errors["secret_overlap_seconds"]) == [rule]
