"""Writes the lines of an export, one JSON object each; `import_file` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection

from kazoo_bridge.cli.importer import CREDENTIALS, hidden_of
from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.storage import accounts, phone_numbers
from kazoo_bridge.storage.accounts import StoredAccount
from kazoo_bridge.storage.transfer import select_credentials, select_hooks, select_limits
from kazoo_bridge.webhooks.egress import remove_credentials

#: Of the format. A file of another version is refused.
VERSION = 1


def export_lines(connection: Connection, *, with_secrets: bool) -> Iterator[bytes]:
    """Yield the lines of everything that is stored, so that each line needs only those before it.

    `with_secrets`: also secrets, header values and URI credentials of hooks, and digests of API keys and
    tokens.
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


def _hook_line(hook: StoredHook, *, with_secrets: bool) -> bytes:
    document, hidden = dict(hook.document), hidden_of(hook)
    more: dict[str, Any] = {}
    if not with_secrets and CREDENTIALS in hidden:
        document["uri"] = remove_credentials(document["uri"])
    if not with_secrets and hidden:
        more = {"left_out": sorted(hidden)}
    if with_secrets:
        more = {
            "secrets": [[secret.value, secret.expires] for secret in hook.secrets],
            "headers": dict(hook.headers),
        }
    return _line(
        "hook",
        id=hook.id,
        account_id=hook.account_id,
        document=document,
        created=hook.created,
        modified=hook.modified,
        **more,
    )


def _line(kind: str, **record: Any) -> bytes:
    line = {"type": kind, **record}
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # A stored document may have integers of more than 64 bits, and lone surrogates.
        return json.dumps(line).encode() + b"\n"


def _parents_first(everything: Mapping[str, StoredAccount]) -> list[StoredAccount]:
    def depth(account: StoredAccount) -> int:
        above, seen = account.parent_id, {account.id}
        while above is not None and above in everything and above not in seen:
            seen.add(above)
            above = everything[above].parent_id
        return len(seen)

    return sorted(everything.values(), key=lambda account: (depth(account), account.created, account.id))
