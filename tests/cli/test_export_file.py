from __future__ import annotations

from typing import Any

import orjson
import pytest

from kazoo_bridge.cli import export_file
from kazoo_bridge.cli.export_file import NotAnExport, import_line
from kazoo_bridge.cli.importer import Importer
from kazoo_bridge.storage.accounts import StoredAccount
from kazoo_bridge.storage.transfer import Snapshot

A = "a" * 32


def make_importer() -> Importer:
    account = StoredAccount(A, None, "", "", False, 1)
    return Importer(Snapshot({A: account}, {}, {}, {}, {}), None, lambda *refused: None)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ([], "expected a type of kazoo_bridge_export, account"),
        ({"type": ["hook"]}, "expected a type of"),
        ({"type": "account", "id": 5}, "account: missing or wrong: id"),
        ({"type": "account", "id": A, "name": "", "realm": "", "superadmin": "yes"}, "superadmin"),
        ({"type": "limits", "account_id": A, "attempt_failure_count": True + 2**40}, "expected a limit"),
        ({"type": "number", "number": 47}, "number"),
        (
            {"type": "hook", "id": A, "account_id": A, "document": {}, "created": "x"},
            "hook: missing or wrong",
        ),
        ({"type": "hook", "document": {}, "secrets": [1]}, "hook: missing or wrong"),
        ({"type": "hook", "document": {}, "secrets": [], "headers": []}, "hook: missing or wrong"),
        ({"type": "token", "digest": "0" * 64, "account_id": A, "created": 1}, "wrong: 'restrictions'"),
        ({"type": "token", "digest": "x"}, "token: missing or wrong: digest"),
        ({"type": "kazoo_bridge_export", "version": 2}, "expected version 1, got 2"),
    ],
)
def test_lines_that_export_does_not_write(record: Any, problem: str) -> None:
    with pytest.raises(NotAnExport, match=problem):
        import_line(make_importer(), orjson.dumps(record))


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_file, "MAX_LINE_BYTES", 10)
    with pytest.raises(NotAnExport, match="at most 10 bytes"):
        import_line(make_importer(), b" " * 11)


@pytest.mark.parametrize(
    ("more", "enabled"), [({}, True), ({"enabled": True}, True), ({"enabled": False}, False)]
)
def test_accounts_of_former_exports_are_enabled(more: dict[str, bool], enabled: bool) -> None:
    snapshot = Snapshot({}, {}, {}, {}, {})
    account = {"type": "account", "id": A, "name": "", "realm": "", "superadmin": False, "created": 1}
    import_line(Importer(snapshot, None, lambda *refused: None), orjson.dumps(account | more))
    assert snapshot.accounts[A].enabled is enabled
