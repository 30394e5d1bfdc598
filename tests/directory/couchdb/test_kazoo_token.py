from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from kazoo_bridge.directory.couchdb.kazoo_token import mint_token, parse_token
from kazoo_bridge.directory.jwt_claims import MAX_TOKEN_LENGTH
from tests.couchdb.kazoo_cluster import CUSTOMER, DEVICE, KEY_ID, SYSTEM_SECRET, USER, KazooCluster, secret_of
from tests.couchdb.kazoo_tokens import base64url, encode_token, rsa_key

NOW = 1_790_000_000.0
cluster = KazooCluster(None, lambda: NOW)  # type: ignore[arg-type] # only its tokens


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512"])
def test_a_token_of_kazoo_is_parsed_and_verified(alg: str) -> None:
    token = parse_token(cluster.token(alg=alg))
    assert token is not None
    assert (token.key_id, token.account_id, token.identity_id) == (KEY_ID, CUSTOMER, CUSTOMER)
    assert token.expires == NOW + 3600
    assert token.acts_as is None
    assert token.is_signed_by(rsa_key().public_key())
    assert not token.is_signed_by(rsa_key("other").public_key())
    assert token.is_of_identity(secret_of(CUSTOMER), SYSTEM_SECRET)


@pytest.mark.parametrize(
    ("claims", "identity_id"),
    [({}, CUSTOMER), ({"owner_id": USER}, USER), ({"owner_id": USER, "device_id": DEVICE}, DEVICE)],
)
def test_the_identity_is_the_device_the_user_or_the_account(claims: dict[str, str], identity_id: str) -> None:
    token = parse_token(cluster.token(**claims))
    assert token is not None
    assert token.identity_id == identity_id
    assert token.is_of_identity(secret_of(identity_id), SYSTEM_SECRET)
    assert not token.is_of_identity("reset", SYSTEM_SECRET)
    assert not token.is_of_identity(secret_of(identity_id), "reset")


def test_a_token_without_the_signature_of_an_identity_is_of_none() -> None:
    token = parse_token(cluster.token(identity_sig=None))
    assert token is not None
    assert token.identity_signature is None
    assert not token.is_of_identity(secret_of(CUSTOMER), SYSTEM_SECRET)


def test_a_changed_token_has_no_good_signature() -> None:
    header, _, signature = cluster.token().split(".")
    claims = base64url(json.dumps(cluster.claims("a" * 32)).encode())
    token = parse_token(f"{header}.{claims}.{signature}")
    assert token is not None
    assert not token.is_signed_by(rsa_key().public_key())


REFUSED: dict[str, str] = {
    "empty": "",
    "no dots": "x" * 64,
    "two parts": "a.b",
    "not base64": "!.!.!",
    "not ASCII": cluster.token() + "ø",
    "no JSON": ".".join([base64url(b"{")] * 3),
    "a list": encode_token({"alg": "RS256", "kid": KEY_ID}, [], rsa_key()),
    "none": encode_token({"alg": "none", "kid": KEY_ID}, cluster.claims(), None),
    "HS256": jwt.encode(cluster.claims(), "s" * 32, "HS256", {"kid": KEY_ID}),
    "PS256": encode_token({"alg": "PS256", "kid": KEY_ID}, cluster.claims(), rsa_key()),
    "no alg": encode_token({"kid": KEY_ID}, cluster.claims(), rsa_key()),
    "alg of another type": encode_token({"alg": 7, "kid": KEY_ID}, cluster.claims(), rsa_key()),
    "no kid": encode_token({"alg": "RS256"}, cluster.claims(), rsa_key()),
    "nested": base64url(b'{"alg": "RS256", "kid": ' + b"[" * 1500 + b"]" * 1500 + b"}") + ".e30.e30",
    "kid of CouchDB's own": cluster.token(kid="_design/auth"),
    "kid that leads upwards": cluster.token(kid=".."),
    "kid of another path": cluster.token(kid="../account%2fab"),
    "kid with a slash": cluster.token(kid=f"{KEY_ID}/"),
    "kid with a control character": cluster.token(kid=f"{KEY_ID}\n"),
    "kid beyond ASCII": cluster.token(kid="\u0661"),
    "identity that leads upwards": cluster.token(owner_id=".."),
    "kid of another type": cluster.token(kid=7),
    "kid too long": cluster.token(kid="k" * 200),
    "no account": cluster.token(account_id=None),  # type: ignore[arg-type]
    "account is no id": cluster.token("x" * 32),
    "account in upper case": cluster.token("A" * 32),
    "no issuer": cluster.token(iss=None),
    "another issuer": cluster.token(iss="https://accounts.example.com"),
    "no expiry": cluster.token(exp=None),
    "expiry is text": cluster.token(exp="1790003600"),
    "expiry is true": cluster.token(exp=True),
    "expiry is too large": cluster.token(exp=1e300),
    "owner is no id": cluster.token(owner_id=7, identity_sig="x"),
    "owner of CouchDB's own": cluster.token(owner_id="_local/x", identity_sig="x"),
    "empty device": cluster.token(device_id="", owner_id=USER),
    "empty identity_sig": cluster.token(identity_sig=""),
    "identity_sig is no text": cluster.token(identity_sig=7),
    "identity_sig is no base64": cluster.token(identity_sig="x"),
    "acts as no account": cluster.token(act_as={"account_id": "x", "owner_id": USER}),
    "too long": cluster.token(x="y" * MAX_TOKEN_LENGTH),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_token_of_kazoo_is_refused(text: str) -> None:
    assert parse_token(text) is None


def test_infinity_is_no_expiry() -> None:
    header, _, signature = cluster.token().split(".")
    claims = json.dumps(cluster.claims()).replace(str(int(NOW) + 3600), "Infinity")
    assert parse_token(f"{header}.{base64url(claims.encode())}.{signature}") is None


@pytest.mark.parametrize(
    ("acts_as", "expected"),
    [
        ({"account_id": "a" * 32, "owner_id": USER}, "a" * 32),
        ({"account_id": "a" * 32}, None),
        ({"owner_id": USER}, None),
        ("x", None),
    ],
)
def test_a_token_may_act_as_another_account(acts_as: Any, expected: str | None) -> None:
    token = parse_token(cluster.token(act_as=acts_as))
    assert token is not None
    assert token.acts_as == expected


def test_a_token_that_is_minted_here_is_one_of_kazoo() -> None:
    claims = {"account_id": CUSTOMER, "method": "cb_api_auth", "exp": int(NOW) + 3600}
    text = mint_token(claims, KEY_ID, rsa_key(), secret_of(CUSTOMER), SYSTEM_SECRET)
    token = parse_token(text)
    assert token is not None
    assert token.is_signed_by(rsa_key().public_key())
    assert token.is_of_identity(secret_of(CUSTOMER), SYSTEM_SECRET)
    assert jwt.get_unverified_header(text) == {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}


def test_secrets_are_not_shown() -> None:
    text = cluster.token()
    assert text not in repr(parse_token(text))
