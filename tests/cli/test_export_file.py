from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from kazoo_bridge.cli.export_file import export_lines
from kazoo_bridge.interfaces import Secret, StoredHook
from kazoo_bridge.storage import accounts, engine, migrate, transfer
from kazoo_bridge.storage.accounts import StoredAccount

A, B, C = "a" * 32, "b" * 32, "c" * 32
URI = "https://me:hunter2@hook.example/x?y=z"


def export(path: Path, *hooks: StoredHook, with_secrets: bool) -> list[dict[str, object]]:
    """Return the lines after the first, of a storage with three accounts and `hooks`."""
    opened = engine.open_engine(f"sqlite:///{path}/b.sqlite3")
    migrate.upgrade(opened)
    with opened.begin() as connection:
        for account in (
            StoredAccount(B, None, "", "", False, 9),
            StoredAccount(A, B, "", "", False, 1),
            StoredAccount(C, A, "", "", False, 0),
        ):
            accounts.insert(connection, account, 0)
        for hook in hooks:
            transfer.put_hook(connection, hook, 0)
        lines = [orjson.loads(line) for line in export_lines(connection, with_secrets=with_secrets)]
    opened.dispose()
    assert lines[0] == {"type": "kazoo_bridge_export", "version": 1, "with_secrets": with_secrets}
    return lines[1:]


def test_parents_come_first(tmp_path: Path) -> None:
    assert [line["id"] for line in export(tmp_path, with_secrets=False)] == [B, A, C]


@pytest.mark.parametrize("with_secrets", [False, True])
def test_the_secret_parts_of_a_hook(tmp_path: Path, with_secrets: bool) -> None:
    document = {"uri": URI, "headers": {"x-key": "********"}}
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    hook = StoredHook("d" * 32, A, document, "1-x", 1, 2, (secret,), {"x-key": "s3cret"})
    plain = StoredHook("e" * 32, A, {"uri": "https://hook.example/@"}, "1-x", 1, 2)
    *_, first, second = export(tmp_path, hook, plain, with_secrets=with_secrets)
    parts = {name: first.get(name) for name in ("document", "secrets", "headers", "left_out")}
    if with_secrets:
        assert parts == {
            "document": document,
            "secrets": [[secret.value, None]],
            "headers": {"x-key": "s3cret"},
            "left_out": None,
        }
    else:
        assert parts == {
            "document": document | {"uri": "https://hook.example/x?y=z"},
            "secrets": None,
            "headers": None,
            "left_out": ["credentials", "headers", "secrets"],
        }
    assert second["document"] == {"uri": "https://hook.example/@"}
    assert "left_out" not in second


def test_documents_that_few_parsers_take_are_exported(tmp_path: Path) -> None:
    document = {"uri": "https://hook.example/", "modifiers": {"n": 2**70, "t": "\ud800"}}
    opened = engine.open_engine(f"sqlite:///{tmp_path}/b.sqlite3")
    migrate.upgrade(opened)
    with opened.begin() as connection:
        transfer.put_hook(connection, StoredHook("d" * 32, A, document, "1-x", 1, 2), 0)
        *_, line = export_lines(connection, with_secrets=False)
    opened.dispose()
    assert json.loads(line)["document"] == document
