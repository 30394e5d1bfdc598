from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from kazoo_bridge.interfaces import Secret
from kazoo_bridge.webhooks.hooks.signing_keys import ED25519, generate_secret, parse_key
from kazoo_bridge.webhooks.http import signing

NOW = 1_700_000_000.0
ONE, TWO, THREE = (generate_secret() for _ in range(3))


def signature_headers(secrets: list[Secret], webhook_id: str, now: float, body: bytes) -> dict[str, str]:
    keys = [(parse_key(secret.value), secret.expires) for secret in secrets]
    return signing.signature_headers(keys, webhook_id, now, body)


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


def test_a_key_pair_signs_beside_a_shared_secret() -> None:
    pair = generate_secret(ED25519)
    headers = signature_headers([Secret(pair), Secret(ONE, NOW + 1)], "m", NOW, b"x")
    ed25519, hmac_ = headers["webhook-signature"].split()
    assert hmac_ == sign_by_hand(ONE, "m", "1700000000", b"x")
    version, _, signature = ed25519.partition(",")
    assert version == "v1a"
    public = base64.b64decode(parse_key(pair).public_key.removeprefix("whpk_"))
    key = Ed25519PublicKey.from_public_bytes(public)
    key.verify(base64.b64decode(signature), b"m.1700000000.x")
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature), b"m.1700000000.y")


def test_the_reference_library_ignores_the_signature_of_a_key_pair() -> None:
    now = time.time()
    headers = signature_headers([Secret(generate_secret(ED25519)), Secret(ONE)], "m", now, b"{}")
    assert Webhook(ONE).verify(b"{}", {"webhook-id": "m", **headers}) == {}
