"""The lines of an export, one JSON object each: written by ``export``, read by ``import FILE``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection

from kazoo_bridge.cli.importer import Importer
from kazoo_bridge.interfaces import MAX_ACCOUNT_LIMIT, AccountLimits, Secret, StoredHook
from kazoo_bridge.storage import accounts, phone_numbers
from kazoo_bridge.storage.accounts import StoredAccount
from kazoo_bridge.storage.transfer import StoredCredential, select_credentials, select_hooks, select_limits

#: Of the format. A file of another version is refused.
VERSION = 1

#: Bytes of a line.
MAX_LINE_BYTES = 1024**2


class NotAnExport(Exception):
    """The file is none that `export` has written; the text says what was expected."""


def export_lines(connection: Connection, *, with_secrets: bool) -> Iterator[bytes]:
    """Yield the lines of everything that is stored, so that each line needs only those before it.

    `with_secrets`: also secrets and header values of hooks, and digests of API keys and tokens.
    """
    yield _line("kazoo_bridge_export", version=VERSION, with_secrets=with_secrets)
    everything = {account.id: account for account in accounts.select_all(connection)}
    for account in _parents_first(everything):
        yield _line(
            "account",
            id=account.id,
            parent_id=account.parent_id,
            name=account.name,
            realm=account.realm,
            superadmin=account.superadmin,
            created=account.created,
            enabled=account.enabled,
        )
    for account_id, limits in select_limits(connection).items():
        yield _line(
            "limits",
            account_id=account_id,
            attempt_failure_count=limits.attempt_failure_count,
            attempt_failure_expiry_ms=limits.attempt_failure_expiry_ms,
        )
    for digits, account_id in phone_numbers.select_all(connection).items():
        yield _line("number", number=f"+{digits}", account_id=account_id)
    for hook in select_hooks(connection):
        yield _hook_line(hook, with_secrets=with_secrets)
    if with_secrets:
        for credential in select_credentials(connection):
            more = {}
            if credential.kind == "token":
                more = {
                    "expires": credential.expires,
                    "api_key": credential.api_key,
                    "restrictions": credential.restrictions,
                }
            yield _line(
                credential.kind,
                digest=credential.digest,
                account_id=credential.account_id,
                created=credential.created,
                **more,
            )


def import_line(importer: Importer, line: bytes) -> None:
    """Give a line to the importer. Raises `NotAnExport` for a line that `export` does not write."""
    if len(line) > MAX_LINE_BYTES:
        raise NotAnExport(f"expected at most {MAX_LINE_BYTES} bytes in a line")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise NotAnExport(f"not JSON: {error}") from None
    kind = record.get("type") if isinstance(record, dict) else None
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise NotAnExport(f"expected a type of {', '.join(_READERS)}")
    try:
        read(importer, record)
    except (KeyError, TypeError, ValueError) as error:
        raise NotAnExport(f"{kind}: missing or wrong: {error}") from None


def _read_head(_importer: Importer, record: Mapping[str, Any]) -> None:
    if record["version"] != VERSION:
        raise ValueError(f"expected version {VERSION}, got {record['version']!r}")


def _read_account(importer: Importer, record: Mapping[str, Any]) -> None:
    parent_id = record.get("parent_id")
    importer.add_account(
        StoredAccount(
            _text(record, "id"),
            None if parent_id is None else _text(record, "parent_id"),
            _text(record, "name"),
            _text(record, "realm"),
            _boolean(record, "superadmin"),
            int(record["created"]),
            # Missing in exports of versions that had no disabled accounts.
            _boolean(record, "enabled") if "enabled" in record else True,
        )
    )


def _read_limits(importer: Importer, record: Mapping[str, Any]) -> None:
    values = [record.get(name) for name in ("attempt_failure_count", "attempt_failure_expiry_ms")]
    for value in values:
        if value is not None and not (isinstance(value, int) and 1 <= value <= MAX_ACCOUNT_LIMIT):
            raise ValueError(f"expected a limit from 1 to {MAX_ACCOUNT_LIMIT}")
    importer.add_limits(_text(record, "account_id"), AccountLimits(*values))


def _read_number(importer: Importer, record: Mapping[str, Any]) -> None:
    importer.add_number(_text(record, "number"), _text(record, "account_id"))


def _read_hook(importer: Importer, record: Mapping[str, Any]) -> None:
    document = _object(record["document"])
    with_secrets = "secrets" in record
    if not with_secrets:
        document = {name: value for name, value in document.items() if name != "headers"}
    secrets = tuple(
        Secret(str(value), None if expires is None else float(expires))
        for value, expires in record.get("secrets", ())
    )
    headers = {str(name): str(value) for name, value in _object(record.get("headers", {})).items()}
    importer.add_hook(
        StoredHook(
            _text(record, "id"),
            _text(record, "account_id"),
            document,
            "",
            int(record["created"]),
            int(record["modified"]),
            secrets,
            headers,
        ),
        keep_secrets=not with_secrets,
    )


def _read_credential(importer: Importer, record: Mapping[str, Any]) -> None:
    digest, expires, api_key = _text(record, "digest"), record.get("expires"), record.get("api_key")
    if len(digest) != 64:
        raise ValueError("digest")
    importer.add_credential(
        StoredCredential(
            record["type"],
            digest,
            _text(record, "account_id"),
            float(record["created"]),
            None if expires is None else float(expires),
            None if api_key is None else str(api_key),
            # Without the key, nothing would say that the token may do all.
            record["restrictions"] if record["type"] == "token" else None,
        )
    )


_READERS = {
    "kazoo_bridge_export": _read_head,
    "account": _read_account,
    "limits": _read_limits,
    "number": _read_number,
    "hook": _read_hook,
    "api_key": _read_credential,
    "token": _read_credential,
}


def _hook_line(hook: StoredHook, *, with_secrets: bool) -> bytes:
    more: dict[str, Any] = {}
    if with_secrets:
        more = {
            "secrets": [[secret.value, secret.expires] for secret in hook.secrets],
            "headers": dict(hook.headers),
        }
    return _line(
        "hook",
        id=hook.id,
        account_id=hook.account_id,
        document=dict(hook.document),
        created=hook.created,
        modified=hook.modified,
        **more,
    )


def _line(kind: str, **record: Any) -> bytes:
    return orjson.dumps({"type": kind, **record}, option=orjson.OPT_APPEND_NEWLINE)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _boolean(record: Mapping[str, Any], name: str) -> bool:
    value = record[name]
    if not isinstance(value, bool):
        raise TypeError(name)
    return value


def _parents_first(everything: Mapping[str, StoredAccount]) -> list[StoredAccount]:
    def depth(account: StoredAccount) -> int:
        above, seen = account.parent_id, {account.id}
        while above is not None and above in everything and above not in seen:
            seen.add(above)
            above = everything[above].parent_id
        return len(seen)

    return sorted(everything.values(), key=lambda account: (depth(account), account.created, account.id))
