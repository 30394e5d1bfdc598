from __future__ import annotations

import pytest

from kazoo_bridge.cli.signature_check import SignatureCheck
from kazoo_bridge.webhooks.hooks.signing_keys import ED25519, HMAC, generate_secret, parse_key
from kazoo_bridge.webhooks.http.signing import signature_headers

NOW = 1_700_000_000.0
ID = "msg_1"


def headers(secret: str, body: bytes) -> dict[str, str]:
    return {"webhook-id": ID, **signature_headers([(parse_key(secret), None)], ID, NOW, body)}


@pytest.mark.parametrize("kind", [HMAC, ED25519])
def test_a_signature_of_the_service(kind: str) -> None:
    secret = generate_secret(kind)
    check = SignatureCheck.parse(secret)
    assert check.problem(headers(secret, b"body"), b"body", NOW) is None
    assert check.problem(headers(secret, b"body"), b"other", NOW) is not None
    other = generate_secret(kind)
    assert "another key" in (check.problem(headers(other, b"body"), b"body", NOW) or "")
    # With two secrets while they are exchanged, one valid signature is enough.
    both = headers(secret, b"body")
    both["webhook-signature"] = headers(other, b"body")["webhook-signature"] + " " + both["webhook-signature"]
    assert check.problem(both, b"body", NOW) is None


def test_a_public_key() -> None:
    secret = generate_secret(ED25519)
    check = SignatureCheck.parse(parse_key(secret).public_key)
    assert check.problem(headers(secret, b""), b"", NOW) is None
    assert check.problem(headers(generate_secret(HMAC), b""), b"", NOW) is not None


def test_requests_that_are_not_to_be_trusted() -> None:
    secret = generate_secret(HMAC)
    check = SignatureCheck.parse(secret)
    assert check.problem({}, b"", NOW) == "INVALID: there is none"
    assert "no time" in (check.problem(headers(secret, b"") | {"webhook-timestamp": "x"}, b"", NOW) or "")
    assert "301 seconds old" in (check.problem(headers(secret, b""), b"", NOW + 301) or "")
    assert "301 seconds in the future" in (check.problem(headers(secret, b""), b"", NOW - 301) or "")
    assert check.problem(headers(secret, b""), b"", NOW + 300) is None


@pytest.mark.parametrize("key", ["whpk_AAAA", "whpk_!", "secret", "whsec_AAAA"])
def test_keys_that_cannot_be_used(key: str) -> None:
    with pytest.raises(ValueError, match="expected") as raised:
        SignatureCheck.parse(key)
    assert key not in str(raised.value)
