"""Checks the lines that ``export`` has written (see `export_file`), and gives them to an `Importer`.

A line is imported whole or refused whole. Its problems name each key, what is expected, and what is there
unless that may be secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import orjson
from attrs import define, frozen

from kazoo_bridge.cli.export_file import VERSION
from kazoo_bridge.cli.importer import HIDDEN, Importer
from kazoo_bridge.interfaces import (
    MAX_ACCOUNT_LIMIT,
    AccountLimits,
    InvalidDocument,
    Secret,
    StoredHook,
    TokenRestrictions,
)
from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.kazoo import is_account_id
from kazoo_bridge.schema_errors import errors_to_text, field_error
from kazoo_bridge.storage.accounts import StoredAccount
from kazoo_bridge.storage.transfer import StoredCredential
from kazoo_bridge.text_sanitizing import for_display, forbidden_texts, text_for_display
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules
from kazoo_bridge.webhooks.hooks.hook_headers import separate_headers
from kazoo_bridge.webhooks.hooks.hook_secrets import MAX_ACTIVE_SECRETS
from kazoo_bridge.webhooks.hooks.signing_keys import parse_key

#: Bytes of a line, and levels of its JSON.
MAX_LINE_BYTES, MAX_DEPTH = 1024**2, 64

#: Of a time in seconds.
MAX_TIME = 2**53

#: Characters of the text that says why a hook is disabled.
MAX_REASON_LENGTH = 1000

#: Problems that are named of one line.
MAX_PROBLEMS = 10

HEAD = "kazoo_bridge_export"


class NotAnExport(Exception):
    """The line is none that `export` has written; the text says what was expected."""


@frozen
class _Key:
    """What a key of a record must be. `secret`: a wrong value is not repeated."""

    expected: str
    is_valid: Callable[[Any], bool]
    required: bool = True
    secret: bool = False

    def problem(self, name: str, record: Mapping[str, Any]) -> str:
        """Return what is wrong with the value of `record`, or an empty text."""
        if name not in record:
            return f"{name}: missing, expected {self.expected}" if self.required else ""
        if self.is_valid(record[name]):
            return ""
        got = "" if self.secret else f", got {orjson.dumps(for_display(record[name])).decode()}"
        return f"{name}: expected {self.expected}{got}"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_integer(value: object, minimum: int, maximum: int) -> bool:
    return type(value) is int and minimum <= value <= maximum


def _is_unix_time(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= MAX_TIME  # type: ignore


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_secret(value: object) -> bool:
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)):
        return False
    try:
        parse_key(value[0])
    except ValueError:
        return False
    return value[1] is None or _is_unix_time(value[1])


def _are_restrictions(value: object) -> bool:
    if value is None:
        return True
    try:
        TokenRestrictions.parse_strictly(orjson.loads(value if isinstance(value, str) else ""))
    except ValueError:
        return False
    return True


def _or_null(key: _Key) -> _Key:
    return _Key(f"{key.expected}, or null", lambda v: v is None or key.is_valid(v), key.required, key.secret)


_ID = _Key("an id of 32 characters, 0-9 and a-f", is_account_id)
_TEXT = _Key("a text", _is_text)
_FLAG = _Key("true or false", _is_boolean)
_GREGORIAN = _Key(f"whole Gregorian seconds from 0 to {MAX_TIME}", lambda v: _is_integer(v, 0, MAX_TIME))
_UNIX = _Key(f"Unix seconds from 0 to {MAX_TIME}", _is_unix_time)
_DIGEST = _Key("a SHA-256 of 64 characters, 0-9 and a-f", _is_digest, secret=True)
_LIMIT = _Key(
    f"a limit from 1 to {MAX_ACCOUNT_LIMIT}, or null",
    lambda v: v is None or _is_integer(v, 1, MAX_ACCOUNT_LIMIT),
    required=False,
)

#: The keys of each kind of line; the importer checks the form of their own ids. ``expires`` and
#: ``restrictions`` are required: without them, nothing would say that a token is valid for ever and may do
#: all.
_KEYS: Mapping[str, Mapping[str, _Key]] = {
    HEAD: {
        "version": _Key(str(VERSION), lambda v: _is_integer(v, VERSION, VERSION)),
        "with_secrets": _Key("true or false", _is_boolean, required=False),
    },
    "account": {
        "id": _TEXT,
        "parent_id": _Key("the id of an account, or null", lambda v: v is None or is_account_id(v), False),
        "name": _TEXT,
        "realm": _TEXT,
        "superadmin": _FLAG,
        "created": _GREGORIAN,
        # Missing in exports of versions that had no disabled accounts.
        "enabled": _Key("true or false", _is_boolean, required=False),
    },
    "limits": {"account_id": _ID, "attempt_failure_count": _LIMIT, "attempt_failure_expiry_ms": _LIMIT},
    "number": {"number": _TEXT, "account_id": _ID},
    "hook": {
        "id": _TEXT,
        "account_id": _ID,
        "document": _Key("an object", lambda v: isinstance(v, dict)),
        "created": _GREGORIAN,
        "modified": _GREGORIAN,
        "secrets": _Key(
            f"a list of at most {MAX_ACTIVE_SECRETS} pairs: a secret, and its expiry in Unix seconds or null",
            lambda v: isinstance(v, list) and len(v) <= MAX_ACTIVE_SECRETS and all(map(_is_secret, v)),
            required=False,
            secret=True,
        ),
        "headers": _Key("an object", lambda v: isinstance(v, dict), required=False, secret=True),
        "left_out": _Key(
            f"a list of {', '.join(HIDDEN)}",
            lambda v: isinstance(v, list) and all(name in HIDDEN for name in v),
            required=False,
        ),
    },
    "api_key": {"digest": _DIGEST, "account_id": _ID, "created": _UNIX},
    "token": {
        "digest": _DIGEST,
        "account_id": _ID,
        "created": _UNIX,
        "expires": _or_null(_UNIX),
        "api_key": _or_null(_DIGEST),
        "restrictions": _Key(
            'the text of a JSON object such as {"get": ["accounts/ID/webhooks/#"]}, or null',
            _are_restrictions,
        ),
    },
}


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file; of one that is too long, the first `MAX_LINE_BYTES` + 1 bytes."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        rest = line
        while rest and not rest.endswith(b"\n") and len(line) > MAX_LINE_BYTES:
            rest = file.readline(MAX_LINE_BYTES)
        yield line


@define
class LineReader:
    """Checks lines of an export and gives them to `importer`. `rules` are those of hook documents."""

    _importer: Importer
    _rules: DocumentRules

    def read_head(self, line: bytes) -> None:
        """Check the first line. Raises `NotAnExport` unless `export` begins with it."""
        if HEAD.encode() not in line[:200] or _parse_record(line)["type"] != HEAD:
            raise NotAnExport("expected a file that kazoo-bridge export has written")

    def read(self, line: bytes) -> None:
        """Give a line to the importer. Raises `NotAnExport` for a line that `export` does not write."""
        record = _parse_record(line)
        match record["type"]:
            case "account":
                values = {name: record.get(name) for name in _KEYS["account"]}
                values["enabled"] = record.get("enabled", True)
                self._importer.add_account(StoredAccount(**values))  # type: ignore[arg-type]
            case "limits":
                account_id, *limits = (record.get(name) for name in _KEYS["limits"])
                self._importer.add_limits(str(account_id), AccountLimits(*limits))
            case "number":
                self._importer.add_number(record["number"], record["account_id"])
            case "hook":
                self._read_hook(record)
            case "api_key" | "token":
                values = {name: record.get(name) for name in _KEYS["token"]}
                self._importer.add_credential(StoredCredential(record["type"], **values))  # type: ignore[arg-type]

    def _read_hook(self, record: Mapping[str, Any]) -> None:
        with_secrets = "secrets" in record
        if with_secrets != ("headers" in record) or (with_secrets and "left_out" in record):
            raise NotAnExport(f"{_name(record)}: expected secrets and headers, or left_out, or none of them")
        try:
            document, headers = self._validate(record["document"], record.get("headers", {}))
        except InvalidDocument as error:
            raise NotAnExport(f"{_name(record)}: document: {errors_to_text(error.errors)}") from None
        hook = StoredHook(
            record["id"],
            record["account_id"],
            document,
            "",
            record["created"],
            record["modified"],
            tuple(Secret(*secret) for secret in record.get("secrets", ())),
            headers,
        )
        left_out = frozenset(record.get("left_out", ()))
        self._importer.add_hook(hook, keep_secrets=not with_secrets, left_out=left_out)

    def _validate(
        self, given: Mapping[str, Any], headers: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the document to store, and the values of its headers. Raises `InvalidDocument`."""
        public = {name: value for name, value in given.items() if name != "headers"}
        validated = self._rules.validate(public | ({"headers": headers} if headers else {}))
        document, values = separate_headers(validated, {})
        reason = given.get("disable_reason")
        if reason is not None and not document["enabled"]:
            if not _is_text(reason) or len(reason) > MAX_REASON_LENGTH or any(forbidden_texts(reason)):
                message = f"expected at most {MAX_REASON_LENGTH} characters, none of them control characters"
                cause = for_display(reason)
                raise InvalidDocument(field_error("disable_reason", "wrong_format", message, cause=cause))
            document["disable_reason"] = reason
        return document, values


def _parse_record(line: bytes) -> dict[str, Any]:
    """Return the object of a line, of which each key is as expected. Raises `NotAnExport`."""
    if len(line) > MAX_LINE_BYTES:
        raise NotAnExport(f"expected at most {MAX_LINE_BYTES} bytes in a line")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise NotAnExport(f"not JSON: {error}") from None
    if exceeds_depth(record, MAX_DEPTH):
        raise NotAnExport(f"expected JSON of at most {MAX_DEPTH} levels")
    kind = record.get("type") if isinstance(record, dict) else None
    keys = _KEYS.get(kind) if isinstance(kind, str) else None
    if keys is None:
        got = "" if kind is None else f", got {orjson.dumps(for_display(kind)).decode()}"
        raise NotAnExport(f"type: expected one of {', '.join(_KEYS)}{got}")
    problems = [problem for name, key in keys.items() if (problem := key.problem(name, record))]
    problems += [
        f"{text_for_display(name)}: unknown key, expected {', '.join(keys)}"
        for name in record
        if name not in keys and name != "type"
    ]
    if problems:
        raise NotAnExport(f"{_name(record)}: {'; '.join(problems[:MAX_PROBLEMS])}")
    return dict(record)


def _name(record: Mapping[str, Any]) -> str:
    """Return the kind of a record, and its id if it has one."""
    given = record.get("id")
    return f"{record['type']} {text_for_display(given)}" if isinstance(given, str) else str(record["type"])
