"""Reads crossbar's answers. What is not of the expected form is no answer: it grants nothing.

Sources: ``cb_token_auth``, ``cb_accounts``, ``cb_phone_numbers`` and ``crossbar_util`` of the application
``crossbar`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.directory.crossbar.http_client import CrossbarAnswer
from kazoo_bridge.directory.jwt_claims import parse_time
from kazoo_bridge.directory.member_documents import is_member_id
from kazoo_bridge.interfaces import Account, LoginRefused, StorageUnavailable, TokenRestrictions
from kazoo_bridge.kazoo import is_account_id

#: Accounts above each other.
MAX_ANCESTORS = 100

#: Characters of a name, a realm, or a key of a page.
MAX_TEXT_LENGTH = 1024


@frozen
class TokenClaims:
    """What crossbar says about a good token; see `Principal`."""

    account_id: str
    expires: float | None
    restrictions: TokenRestrictions | None
    user_id: str | None = None


def read_claims(answer: CrossbarAnswer, token: str) -> TokenClaims | None:
    """Return the claims of `token` from the answer to ``GET /token_auth``; None if the token is refused."""
    if answer.status in (400, 401, 403):
        return None
    data = _success(answer)
    # A proxy that mixes up answers gives that of another client.
    if answer.envelope.get("auth_token", token) != token:
        raise unexpected("the answer for this token")
    account_id, expires, restrictions = (data.get(key) for key in ("account_id", "exp", "restrictions"))
    if not is_account_id(account_id):
        raise unexpected("an account_id")
    ends = parse_time(expires)
    if ends is None and expires is not None:
        raise unexpected("exp in seconds")
    return TokenClaims(
        str(account_id),
        ends,
        None if restrictions is None else TokenRestrictions.parse(restrictions),
        str(user_id) if is_member_id(user_id := data.get("owner_id")) else None,
    )


def read_account(answer: CrossbarAnswer, account_id: str) -> Account | None:
    """Return the account, without ancestors, from the answer to ``GET /accounts/{A}``.

    None if it does not exist, or is not below the account of the API key.
    """
    if answer.status in (403, 404):
        return None
    data = _success(answer)
    if data.get("id") != account_id:
        raise unexpected("the account that was asked for")
    return Account(
        account_id,
        _text(data.get("name")),
        _text(data.get("realm")),
        superadmin=data.get("superduper_admin") is True,
        enabled=data.get("enabled", True) is True,
        is_reseller=data.get("is_reseller") is True,
    )


def read_ancestors(answer: CrossbarAnswer, account_id: str) -> tuple[str, ...]:
    """Return the ancestors, parent first, from the answer to ``GET /accounts/{A}/tree`` or ``…/parents``."""
    ancestors = tuple(reversed(_read_ids(answer)))
    if len(ancestors) > MAX_ANCESTORS or len({account_id, *ancestors}) <= len(ancestors):
        raise unexpected("different accounts, from the top to the parent")
    return ancestors


def read_descendants(answer: CrossbarAnswer) -> tuple[list[str], str | None]:
    """Return a page of ids from ``GET /accounts/{A}/descendants``, and the key of the next page if any."""
    return _read_ids(answer), _read_following(answer)


def read_rows(answer: CrossbarAnswer) -> tuple[list[Mapping[str, Any]], str | None]:
    """Return a page of a list, such as ``GET /accounts/{A}/users``, and the key of the next page if any.

    Empty for a list that the API key may not read.
    """
    if answer.status in (403, 404):
        return [], None
    if not answer.is_success:
        raise StorageUnavailable(f"crossbar answered with status {answer.status}")
    if not isinstance(answer.data, list):
        raise unexpected("a list")
    return [row for row in answer.data if isinstance(row, dict)], _read_following(answer)


def read_document(answer: CrossbarAnswer, document_id: str) -> Mapping[str, Any] | None:
    """Return a document, such as ``GET /accounts/{A}/users/{ID}``; None if there is none."""
    if answer.status in (400, 403, 404):
        return None
    data = _success(answer)
    if data.get("id") != document_id:
        raise unexpected("the document that was asked for")
    return data


def read_owner(answer: CrossbarAnswer) -> str | None:
    """Return the account of a number from ``GET …/phone_numbers/{NUMBER}/identify``; None if it has none."""
    if answer.status in (400, 403, 404):
        return None
    account_id = _success(answer).get("account_id")
    if not is_account_id(account_id):
        raise unexpected("an account_id")
    return str(account_id)


def read_quickcall(answer: CrossbarAnswer) -> list[str] | None:
    """Return the call ids from ``GET …/quickcall/{NUMBER}``; None if there is no such user or device.

    Crossbar answers with the request that it has published, in which each endpoint has its call id.
    """
    if answer.status in (403, 404):
        return None
    if answer.status != 202 or answer.envelope.get("status") != "success":
        raise StorageUnavailable(f"crossbar answered with status {answer.status}")
    endpoints = answer.data.get("endpoints") if isinstance(answer.data, dict) else None
    ids = [one.get("outbound_call_id") for one in endpoints or () if isinstance(one, dict)]
    return [one for one in ids if isinstance(one, str) and 0 < len(one) <= MAX_TEXT_LENGTH]


def read_login(answer: CrossbarAnswer) -> tuple[str, str] | None:
    """Return the token and its account from ``PUT /api_auth``; None if the API key is refused."""
    if answer.status in (400, 401, 403, 404):
        return None
    data, token = _success(answer), answer.envelope.get("auth_token")
    account_id = data.get("account_id")
    if not is_account_id(account_id) or not is_token(token):
        raise unexpected("auth_token and account_id")
    return str(token), str(account_id)


def read_refusal(answer: CrossbarAnswer) -> LoginRefused:
    """Return the refusal of a login in crossbar's words. Raises `StorageUnavailable` for another answer."""
    word = answer.envelope.get("message")
    if not 400 <= answer.status < 500 or not isinstance(word, str) or len(word) > MAX_TEXT_LENGTH:
        raise StorageUnavailable(f"crossbar answered with status {answer.status}")
    return LoginRefused(answer.status, word, answer.data)


def is_token(value: object) -> bool:
    """Return whether `value` may be a token: printable ASCII that fits into a header, of bounded length."""
    return isinstance(value, str) and 0 < len(value) <= 4096 and value.isascii() and value.isprintable()


def unexpected(expected: str) -> StorageUnavailable:
    """Return the error for an answer that is not of the expected form. The answer itself is not repeated."""
    return StorageUnavailable(f"crossbar answered without {expected}")


def _success(answer: CrossbarAnswer) -> Mapping[str, Any]:
    if not answer.is_success:
        raise StorageUnavailable(f"crossbar answered with status {answer.status}")
    if not isinstance(answer.data, dict):
        raise unexpected("an object")
    return answer.data


def _read_following(answer: CrossbarAnswer) -> str | None:
    following = answer.envelope.get("next_start_key")
    if not isinstance(following, str | None) or len(following or "") > MAX_TEXT_LENGTH:
        raise unexpected("next_start_key as text")
    return following or None


def _read_ids(answer: CrossbarAnswer) -> list[str]:
    entries = answer.data
    if not answer.is_success:
        raise StorageUnavailable(f"crossbar answered with status {answer.status}")
    if not isinstance(entries, list):
        raise unexpected("a list of accounts")
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    if not all(map(is_account_id, ids)):
        raise unexpected("the ids of accounts")
    return [str(one) for one in ids]


def _text(value: object) -> str:
    return value[:MAX_TEXT_LENGTH] if isinstance(value, str) else ""
