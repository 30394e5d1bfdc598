"""Tokens that an issuer signs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from jwt.api_jws import PyJWS
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kazoo_bridge.config import Config, ConfigError, Jwt
from kazoo_bridge.directory.jwt import CACHE_TTL, JwtDirectory
from kazoo_bridge.directory.jwt_claims import MAX_TOKEN_LENGTH
from kazoo_bridge.directory.jwt_keys import CHECK_INTERVAL
from kazoo_bridge.interfaces import Account, IDirectory, Principal, TokenRestrictions
from tests.config.rsa_keys import FIRST, SECOND, to_jwk, to_pem

NOW = 1_800_000_000
OWN, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(json.dumps({"keys": [to_jwk(FIRST, "first"), to_jwk(SECOND, "second")]}))
    return path


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest.fixture
def directory(clock: Clock, path: Path) -> JwtDirectory:
    return JwtDirectory(clock, str(path), "kazoo")


def make_token(
    claims: dict[str, Any] | None = None,
    *,
    key: Any = FIRST,
    algorithm: str = "RS256",
    key_id: str | None = "first",
    **more: Any,
) -> str:
    """Sign a token that is good unless something is changed; a claim of None is left out."""
    all_claims = {"account_id": OWN, "iss": "kazoo", "exp": NOW + 100} | (claims or {})
    payload = json.dumps({name: value for name, value in all_claims.items() if value is not None}).encode()
    headers = ({} if key_id is None else {"kid": key_id}) | more
    return PyJWS().encode(payload, key, algorithm, headers)


def raw_token(header: Any, claims: Any, secret: bytes = b"") -> str:
    """Make a token of any header, with an HMAC for a signature."""
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in (header, claims)]
    signature = hmac.new(secret, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def result(directory: JwtDirectory, token: str) -> Any:
    return directory.authenticate(token).result


def test_it_implements_the_interface(directory: JwtDirectory) -> None:
    assert verifyObject(IDirectory, directory)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
@pytest.mark.parametrize(("key", "key_id"), [(FIRST, "first"), (SECOND, "second")])
def test_a_good_token(directory: JwtDirectory, algorithm: str, key: Any, key_id: str) -> None:
    token = make_token(key=key, algorithm=algorithm, key_id=key_id)
    assert result(directory, token) == Principal(OWN, expires=NOW + 100)


_CLAIMS = {"account_id": OWN, "iss": "kazoo", "exp": NOW + 100}
_PUBLIC = to_pem(FIRST).encode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "..",
        make_token(key=SECOND),
        make_token(key_id="third"),
        make_token(key_id=None),
        make_token({"iss": "other"}),
        make_token({"iss": ["kazoo"]}),
        make_token({"iss": None}),
        make_token({"exp": None}),
        make_token({"exp": NOW}),
        make_token({"exp": NOW - 1}),
        make_token({"exp": str(NOW + 100)}),
        make_token({"exp": True}),
        make_token({"exp": 1e300}),
        make_token({"nbf": NOW + 1}),
        make_token({"nbf": "soon"}),
        make_token({"account_id": None}),
        make_token({"account_id": OWN.upper()}),
        make_token({"account_id": [OWN]}),
        make_token({"account_id": f"{OWN}\n"}),
        make_token(algorithm="PS256"),
        make_token(key="secret" * 8, algorithm="HS256"),
        make_token(key="", algorithm="none"),
        raw_token({"alg": "HS256", "kid": "first"}, _CLAIMS, _PUBLIC),
        raw_token({"alg": "RS256", "kid": "first"}, _CLAIMS, _PUBLIC),
        raw_token({"alg": "none", "kid": "first"}, _CLAIMS),
        raw_token({"alg": "RS256", "kid": ["first"]}, _CLAIMS),
        raw_token({"kid": "first"}, _CLAIMS),
        raw_token(["RS256"], _CLAIMS),
        raw_token({"alg": "RS256", "kid": "first", "x": [[[[]]]] * 50}, _CLAIMS),
        make_token() + "x",
        make_token()[:-6] + "AAAAAA",
        make_token({"note": "x" * MAX_TOKEN_LENGTH}),
        make_token() + "é",
        make_token(crit=["exp"]),
    ],
)
def test_tokens_that_are_refused(directory: JwtDirectory, token: str) -> None:
    assert result(directory, token) is None


def test_any_part_of_the_payload_that_is_changed_is_noticed(directory: JwtDirectory) -> None:
    header, _, signature = make_token().split(".")
    _, payload, _ = make_token({"account_id": OTHER}).split(".")
    assert result(directory, ".".join([header, payload, signature])) is None


def test_deeply_nested_json_is_refused(directory: JwtDirectory) -> None:
    nested = base64.urlsafe_b64encode(b'{"a":' * 600 + b"1" + b"}" * 600).decode().rstrip("=")
    for token in (f"{nested}.{nested}.AAAA", f"{make_token().split('.')[0]}.{nested}.AAAA"):
        assert result(directory, token[:MAX_TOKEN_LENGTH]) is None


def test_a_pem_key_verifies_whatever_the_token_names(clock: Clock, path: Path) -> None:
    path.write_text(to_pem(FIRST))
    directory = JwtDirectory(clock, str(path), "kazoo")
    for key_id in ("first", "any", None):
        assert result(directory, make_token(key_id=key_id)) is not None
    assert result(directory, make_token(key=SECOND)) is None
    assert result(directory, raw_token({"alg": "HS256"}, _CLAIMS, _PUBLIC)) is None


def test_a_token_ends_in_the_cache_too(directory: JwtDirectory, clock: Clock) -> None:
    token, later = make_token(), make_token({"exp": NOW + 10 * CACHE_TTL})
    assert result(directory, token) is not None
    assert result(directory, later) is not None
    clock.advance(99)
    assert result(directory, token) is not None
    clock.advance(1)
    assert result(directory, token) is None
    clock.advance(2 * CACHE_TTL)
    assert result(directory, later) is not None


def test_tokens_of_a_key_that_is_removed_end(directory: JwtDirectory, clock: Clock, path: Path) -> None:
    directory.startService()
    token, revision = make_token(), directory.rights_revision
    assert result(directory, token) is not None
    assert result(directory, token) is not None
    lookups = directory.cache_lookups["jwt_tokens"]
    assert (lookups.hits, lookups.misses) == (1, 1)
    path.write_text(json.dumps({"keys": [to_jwk(SECOND, "second")]}))
    clock.advance(CHECK_INTERVAL)
    assert result(directory, token) is None
    assert directory.rights_revision != revision
    assert directory.degraded() == []
    path.write_text("nonsense")
    clock.advance(CHECK_INTERVAL)
    assert directory.degraded()[0].startswith("jwt.keys: expected")
    stopping = directory.stopService()
    assert stopping.called
    assert clock.getDelayedCalls() == []


def test_a_principal_may_act_for_itself_alone(directory: JwtDirectory) -> None:
    principal = Principal(OWN, superadmin=True)
    assert directory.can_act_for(principal, OWN).result is True
    assert directory.can_act_for(principal, OTHER).result is False
    assert directory.can_act_for(Principal("x"), "x").result is False
    assert not directory.is_superadmin(OWN)


def test_accounts_have_no_relatives(directory: JwtDirectory) -> None:
    assert directory.account(OWN).result == Account(OWN, "", "")
    assert directory.account("x").result is None
    assert directory.ancestors(OWN) == ()
    assert directory.ancestors("x") is None
    assert directory.descendants(OWN).result == frozenset()


def test_restrictions_of_a_token(directory: JwtDirectory) -> None:
    restrictions = {"get": ["#"]}
    assert result(directory, make_token({"restrictions": restrictions})).restrictions == (
        TokenRestrictions.parse(restrictions)
    )
    assert result(directory, make_token({"restrictions": "all"})).restrictions == TokenRestrictions()


def test_it_is_made_of_the_configuration(clock: Clock, path: Path) -> None:
    directory = JwtDirectory.from_config(clock, Config(jwt=Jwt(str(path), "me")))
    assert result(directory, make_token({"iss": "me"})) is not None
    config = Config(jwt=Jwt(str(path)))
    path.unlink()
    with pytest.raises(ConfigError, match=r"^jwt\.keys: expected .* cannot be read"):
        JwtDirectory.from_config(clock, config)


def test_logging_out_ends_a_token_until_it_expires(directory: JwtDirectory, clock: Clock) -> None:
    token, revision = make_token(), directory.rights_revision
    assert result(directory, token) is not None
    assert directory.log_out(token).result is True
    assert directory.rights_revision != revision
    for _ in range(2):
        clock.advance(49)
        assert result(directory, token) is None
        assert result(directory, f"{token}==") is None
    assert result(directory, make_token({"exp": NOW + 200})) is not None
    for other in (token, "x", ""):
        assert directory.log_out(other).result is False
