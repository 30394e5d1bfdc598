from __future__ import annotations

import base64
import math
from typing import Any

import pytest

from kazoo_bridge.interfaces import InvalidDocument, Secret
from kazoo_bridge.webhooks.hooks.hook_secrets import (
    DEFAULT_OVERLAP,
    MAX_OVERLAP,
    signature_form,
    updated_secrets,
)
from kazoo_bridge.webhooks.hooks.signing_keys import ED25519, generate_secret, parse_key

NOW = 1_700_000_000.0
ONE, TWO, THREE, FOUR = (generate_secret() for _ in range(4))


@pytest.mark.parametrize(("size", "valid"), [(23, False), (24, True), (64, True), (65, False)])
def test_a_secret_has_24_to_64_bytes(size: int, valid: bool) -> None:
    secret = "whsec_" + base64.b64encode(bytes(size)).decode()
    if valid:
        assert updated_secrets({"secret": secret}, (), NOW) == (Secret(secret),)
    else:
        with pytest.raises(InvalidDocument):
            updated_secrets({"secret": secret}, (), NOW)


def test_a_replaced_secret_stays_valid_for_a_day_by_default_and_a_week_at_most() -> None:
    assert (DEFAULT_OVERLAP, MAX_OVERLAP) == (24 * 60 * 60, 7 * 24 * 60 * 60)


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
    with pytest.raises(InvalidDocument) as refused:
        updated_secrets({"secret": secret}, (), NOW)
    assert list(refused.value.errors) == ["secret"]
    assert "hunter2" not in str(refused.value.errors)
    assert "aHVudGVyMg" not in str(refused.value.errors)


@pytest.mark.parametrize("overlap", [-1, 604_801, "60", 1.5, True, None])
def test_an_invalid_overlap_is_refused(overlap: Any) -> None:
    with pytest.raises(InvalidDocument) as refused:
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
    with pytest.raises(InvalidDocument) as refused:
        updated_secrets({"secret": True, "secret_overlap_seconds": form}, (), 0)
    assert list(refused.value.errors["secret_overlap_seconds"]) == [rule]


def test_a_key_pair_is_generated_or_given() -> None:
    made = updated_secrets({"secret": True, "signature": "ed25519"}, (Secret(ONE),), NOW)
    assert made is not None
    assert [parse_key(secret.value).kind for secret in made] == ["ed25519", "hmac"]
    given = generate_secret(ED25519)
    assert updated_secrets({"secret": given}, (), NOW) == (Secret(given),)
    assert updated_secrets({"secret": given, "signature": "ed25519"}, (), NOW) == (Secret(given),)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"secret": ONE, "signature": "ed25519"}, "secret"),
        ({"secret": True, "signature": "rsa"}, "signature"),
        ({"secret": True, "signature": ["hmac"]}, "signature"),
        ({"signature": "ed25519"}, "secret"),
    ],
)
def test_a_signature_fits_the_secret(document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        updated_secrets(document, (Secret(TWO),), NOW)
    assert list(refused.value.errors) == [field]
    assert ONE not in str(refused.value.errors)


def test_a_generated_secret_is_of_the_current_kind() -> None:
    pair = Secret(generate_secret(ED25519))
    for document, kind in (({"secret": True}, "ed25519"), ({"secret": True, "signature": "hmac"}, "hmac")):
        made = updated_secrets(document, (pair,), NOW)
        assert made is not None
        assert [parse_key(secret.value).kind for secret in made] == [kind, "ed25519"]


def test_the_kind_that_a_hook_has_is_written_back() -> None:
    assert updated_secrets({"signature": "hmac"}, (Secret(ONE),), NOW) is None


def test_clients_see_the_public_key_only() -> None:
    pair = generate_secret(ED25519)
    assert signature_form(()) == {}
    assert signature_form([Secret(ONE)]) == {"signed": True, "signature": "hmac"}
    assert signature_form([Secret(pair), Secret(ONE, NOW)]) == {
        "signed": True,
        "signature": "ed25519",
        "public_key": parse_key(pair).public_key,
    }
