from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kazoo_bridge.webhooks.hooks.signing_keys import ED25519, HMAC, generate_secret, parse_key


def encoded(prefix: str, data: bytes) -> str:
    return prefix + base64.b64encode(data).decode()


def test_a_shared_secret_has_no_public_key() -> None:
    key = parse_key(generate_secret())
    assert (key.kind, key.public_key) == (HMAC, "")


def test_a_generated_pair_contains_its_public_key() -> None:
    secret = generate_secret(ED25519)
    key = parse_key(secret)
    public = base64.b64decode(secret.removeprefix("whsk_"))[32:]
    assert (key.kind, key.public_key) == (ED25519, encoded("whpk_", public))


def test_a_private_key_can_be_the_seed_alone() -> None:
    # RFC 8032, section 7.1, test 1.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert parse_key(encoded("whsk_", seed)).public_key == encoded("whpk_", public)
    assert parse_key(encoded("whsk_", seed + public)).public_key == encoded("whpk_", public)
    with pytest.raises(ValueError, match="its own public key"):
        parse_key(encoded("whsk_", seed + bytes(32)))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsk_",
        "whsk_aHVudGVyMg==",
        "whsk_***",
        "whpk_" + "A" * 44,
        encoded("whsk_", bytes(33)),
        encoded("whsk_", bytes(31)),
        encoded("whsec_", bytes(23)),
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        parse_key(secret)
    assert "aHVudGVyMg" not in str(refused.value)


def test_keys_stay_out_of_the_repr() -> None:
    private = Ed25519PrivateKey.generate().private_bytes_raw()
    for secret in (encoded("whsec_", private), encoded("whsk_", private)):
        assert secret.partition("_")[2] not in repr(parse_key(secret))
        assert str(private) not in repr(parse_key(secret))
