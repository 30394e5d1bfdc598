"""Files with the keys that verify tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kazoo_bridge.config import ConfigError, load
from kazoo_bridge.config.public_keys import (
    ANY_KEY,
    MAX_FILE_BYTES,
    MAX_KEYS,
    check_public_keys,
    read_public_keys,
)
from tests.config.files import make_certificate
from tests.config.rsa_keys import FIRST, SECOND, SMALL, to_jwk, to_pem, to_private_pem


def written(tmp_path: Path, content: str) -> str:
    path = tmp_path / "keys"
    path.write_text(content)
    return str(path)


def key_set(*keys: Any) -> str:
    return json.dumps({"keys": keys})


def test_the_key_of_a_pem_file(tmp_path: Path) -> None:
    keys = read_public_keys(written(tmp_path, to_pem(FIRST)))
    assert keys == {ANY_KEY: FIRST.public_key()}


def test_the_keys_of_a_set(tmp_path: Path) -> None:
    encryption = to_jwk(FIRST, "encryption") | {"use": "enc"}
    elliptic = {"kty": "EC", "kid": "elliptic", "crv": "P-256", "x": "", "y": ""}
    content = key_set(to_jwk(FIRST, "first"), encryption, elliptic, to_jwk(SECOND, "second"))
    keys = read_public_keys(written(tmp_path, content))
    assert keys == {"first": FIRST.public_key(), "second": SECOND.public_key()}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "expected a PEM file or a JSON Web Key Set"),
        ("[]", "expected a PEM file or a JSON Web Key Set"),
        ('{"keys": {}}', "expected a PEM file or a JSON Web Key Set"),
        (key_set(), "expected at least one RSA key"),
        (key_set("key"), "expected at least one RSA key"),
        (key_set({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}), "expected at least one RSA key"),
        (key_set({"kty": "RSA", "kid": "x", "n": 5, "e": "AQAB"}), "expected the members n and e"),
        (key_set({"kty": "RSA", "kid": "x", "n": "??", "e": "AQAB"}), "expected the members n and e"),
        (key_set({"kty": "RSA", "kid": "x"}), "expected the members n and e"),
        (key_set(to_jwk(FIRST, "")), "expected a kid of its own"),
        (key_set(to_jwk(FIRST, "x"), to_jwk(SECOND, "x")), "expected a kid of its own"),
        (key_set(to_jwk(SMALL, "x")), "expected RSA keys of 2048 to 8192 bits"),
        (key_set(*["x"] * (MAX_KEYS + 1)), "expected at most 1000 keys"),
        (to_pem(SMALL), "expected RSA keys of 2048 to 8192 bits"),
        (to_private_pem(FIRST), "expected a PEM file with one public key"),
        ("-----BEGIN PUBLIC KEY-----\nhunter2\n", "expected a PEM file with one public key"),
        ("x" * (MAX_FILE_BYTES + 1), "expected a file of at most"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str, words: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ValueError, match=words) as caught:
        read_public_keys(path)
    assert path in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_key_of_another_kind(tmp_path: Path) -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    certificate = make_certificate(tmp_path, "elliptic")[0]
    for path in (written(tmp_path, pem), certificate):
        with pytest.raises(ValueError, match="expected an RSA key, but"):
            read_public_keys(path)


def test_the_error_names_the_key_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^jwt\.keys: expected .*/no/such/file' cannot be read"):
        load(None, {"KAZOO_BRIDGE__JWT__KEYS": "/no/such/file"})
    check_public_keys("")
