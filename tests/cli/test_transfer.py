"""Export and import, of files and of KAZOO's CouchDB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from click.testing import CliRunner

from kazoo_bridge.cli import importer, main
from kazoo_bridge.interfaces import AccountLimits, Secret, StoredHook
from kazoo_bridge.storage import engine, migrate, transfer
from kazoo_bridge.storage.engine import in_transaction
from tests.cli.harness import STORAGE_URI, A, B, CliHarness

HOOK_ID = "d" * 32
DOCUMENT = {
    "name": "Calls",
    "uri": "https://me:hunter2@example.com/x",
    "hook": "channel_create",
    "http_verb": "post",
    "format": "form-data",
    "enabled": True,
    "retries": 2,
    "include_subaccounts": False,
    "include_internal_legs": True,
    "headers": {"x-key": "********"},
}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def run(*arguments: str, stdin: str = "") -> tuple[int, list[str], list[str]]:
    """Run the command; returns the exit code, and the lines of stdout and stderr."""
    result = CliRunner().invoke(main, ["--yes", *arguments], input=stdin)
    return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()


def stored() -> transfer.Snapshot:
    """Return what is stored."""
    opened = engine.open_engine(STORAGE_URI)
    snapshot = in_transaction(opened, transfer.read_snapshot, writing=False)
    opened.dispose()
    return snapshot


def fill(cli: CliHarness) -> tuple[str, str]:
    """Store something of everything; returns a token and an API key."""
    cli.run("account", "create", "--id", B, "--name", "Top", "--superadmin")
    cli.run("account", "create", "--id", A, "--parent", B, "--name", "Zoë", "--realm", "a.example")
    cli.run("account", "limits", "--id", A, "--attempt-failure-count", "9")
    cli.run("number", "add", "--account", A, "+4722555019")
    token = cli.create("token", "create", "--account", A)
    api_key = cli.create("api-key", "create", "--account", A)
    hook = StoredHook(HOOK_ID, A, DOCUMENT, "1-x", 1, 2, (Secret(SECRET),), {"x-key": "top-secret"})
    opened = engine.open_engine(STORAGE_URI)
    in_transaction(opened, lambda connection: transfer.put_hook(connection, hook, 0.0), writing=True)
    opened.dispose()
    return token, api_key


def use_another_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")


class TestFiles:
    def test_everything_moves_with_its_secrets(
        self, cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(cli)
        before, file = stored(), tmp_path / "export.jsonl"
        assert cli.lines("export", str(file), "--with-secrets") == [f"exported 7 records to {file}"]
        assert file.stat().st_mode & 0o777 == 0o600
        use_another_storage(monkeypatch, tmp_path)
        dry = cli.lines("import", str(file), "--dry-run")
        assert dry[-1] == "dry run: nothing was changed"
        assert list(Path().iterdir()) == []
        assert cli.lines("import", str(file)) == dry[:-1]
        assert dry[0] == "account: 2 created, 0 updated, 0 unchanged, 0 refused"
        after = stored()
        hooks = [(one.document, one.secrets, one.headers, one.created) for one in after.hooks.values()]
        assert hooks == [(DOCUMENT, (Secret(SECRET),), {"x-key": "top-secret"}, 1)]
        for name in ("accounts", "limits", "numbers", "credentials"):
            assert getattr(after, name) == getattr(before, name)
        again = cli.lines("import", str(file))
        assert all(": 0 created, 0 updated, " in line and line.endswith(" 0 refused") for line in again)

    def test_a_dry_run_changes_no_database(self, cli: CliHarness) -> None:
        file = Path("kazoo-bridge.sqlite3")
        file.touch()
        text = '{"type": "kazoo_bridge_export", "version": 1}'
        # Without tables.
        assert cli.lines("import", "-", "--dry-run", stdin=text)[-1] == "dry run: nothing was changed"
        opened = engine.open_engine(STORAGE_URI)
        assert migrate.versions(opened)[0] == ""
        # Older than this release.
        with opened.begin() as connection:
            config = migrate.make_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        assert "upgrade it first with db upgrade" in cli.error("import", "-", "--dry-run", stdin=text)
        assert migrate.versions(opened)[0] == "0001"
        opened.dispose()

    def test_without_secrets_none_is_in_the_file_and_stored_ones_stay(
        self, cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(cli)
        exported = cli.run("export").stdout
        kinds = [json.loads(line)["type"] for line in exported.splitlines()]
        assert kinds == ["kazoo_bridge_export", "account", "account", "limits", "number", "hook"]
        assert SECRET not in exported
        assert "top-secret" not in exported
        assert "hunter2" not in exported
        assert "hook: 0 created, 0 updated, 1 unchanged, 0 refused" in cli.lines(
            "import", "-", stdin=exported
        )
        changed = exported.replace("Calls", "All calls").replace("a.example", "b.example")
        lines = cli.lines("import", "-", stdin=changed)
        assert "hook: 0 created, 1 updated, 0 unchanged, 0 refused" in lines
        assert "account: 0 created, 1 updated, 1 unchanged, 0 refused" in lines
        after = stored()
        assert after.accounts[A].realm == "b.example"
        assert after.hooks[HOOK_ID].secrets == (Secret(SECRET),)
        assert after.hooks[HOOK_ID].document == DOCUMENT | {"name": "All calls"}
        use_another_storage(monkeypatch, tmp_path)
        assert cli.lines("import", "-", stdin=exported)[0] == (
            f"hook {HOOK_ID} lacks what the file leaves out:"
            " credentials in the URI, own headers, signing secret"
        )
        hook = stored().hooks[HOOK_ID]
        assert (hook.secrets, hook.headers, "headers" in hook.document) == ((), {}, False)
        assert hook.document["uri"] == "https://example.com/x"

    def test_couchdb_must_be_configured(self, cli: CliHarness) -> None:
        assert "couchdb.uri: expected the URI" in cli.error("import", "couchdb")

    def test_restart_is_for_couchdb_alone(self, cli: CliHarness) -> None:
        assert "--restart is for import couchdb" in cli.error("import", "-", "--restart", exit_code=2)

    def test_a_file_is_not_replaced(self, cli: CliHarness, tmp_path: Path) -> None:
        file = tmp_path / "export.jsonl"
        file.write_text("precious")
        assert "cannot be created" in cli.error("export", str(file))
        assert file.read_text() == "precious"

    def test_a_dash_is_standard_output(self, cli: CliHarness, tmp_path: Path) -> None:
        cli.run("account", "create", "--id", A)
        assert cli.lines("export", "-") == cli.lines("export")
        assert not (tmp_path / "-").exists()

    def test_files_that_are_no_export(self, cli: CliHarness, tmp_path: Path) -> None:
        assert "cannot be read" in cli.error("import", str(tmp_path / "missing"))
        for text in ("", "number,account\n", '{"type": "kazoo_bridge_export", "version": 9}\n', "[]\n"):
            if text:
                assert "line 1: " in cli.error("import", "-", stdin=text)
            else:
                assert cli.lines("import", "-", stdin=text) == ["nothing to import"]

    def test_what_cannot_be_imported_is_named_and_harms_nothing_else(
        self, cli: CliHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importer, "BATCH_SIZE", 1)
        cli.run("account", "create", "--id", B, "--realm", "b.example")
        account = {"type": "account", "name": "", "superadmin": False, "created": 1, "realm": ""}
        hook = {
            "type": "hook",
            "document": DOCUMENT | {"uri": "https://example.com/x"},
            "created": 1,
            "modified": 1,
        }
        records: list[Any] = [
            {"type": "kazoo_bridge_export", "version": 1},
            account | {"id": A},
            account | {"id": "x"},
            account | {"id": "c" * 32, "parent_id": "9" * 32},
            account | {"id": "c" * 32, "realm": "b.example"},
            account | {"id": B, "parent_id": A},
            account | {"id": B, "superadmin": True},
            {"type": "limits", "account_id": A, "attempt_failure_count": 0},
            {"type": "number", "number": "reception", "account_id": A},
            {"type": "number", "number": "+4722555019", "account_id": "9" * 32},
            {"type": "number", "number": "+4722555019", "account_id": A},
            hook | {"id": "h", "account_id": A},
            hook | {"id": HOOK_ID, "account_id": A},
            hook | {"id": HOOK_ID, "account_id": B},
            hook | {"id": HOOK_ID, "account_id": A, "document": []},
            {"type": "api_key", "digest": "0" * 64, "account_id": "9" * 32, "created": 1},
            {"type": "surprise"},
            {"type": "account"},
        ]
        text = "\n".join([*map(json.dumps, records), "not JSON", "\x1b[31m"])
        code, lines, errors = run("import", "-", stdin=text)
        assert code == 1
        assert lines == [
            "account: 1 created, 0 updated, 0 unchanged, 5 refused",
            "line: 0 created, 0 updated, 0 unchanged, 6 refused",
            "number: 1 created, 0 updated, 0 unchanged, 2 refused",
            "hook: 1 created, 0 updated, 0 unchanged, 2 refused",
            "api_key: 0 created, 0 updated, 0 unchanged, 1 refused",
        ]
        assert len(errors) == 16
        assert all(line.startswith("refused ") and ": " in line for line in errors)
        realm = f"refused account {'c' * 32}: another account has the realm b.example already (line 5)"
        limit = (
            "refused line 8: limits: attempt_failure_count:"
            " expected a limit from 1 to 604800000, or null, got 0"
        )
        assert {realm, limit} <= set(errors)
        assert set(stored().accounts) == {A, B}

    @pytest.mark.parametrize(
        ("record", "key"),
        [
            (
                {"type": "account", "id": A, "name": "", "realm": "", "superadmin": False, "created": 2**63},
                "created",
            ),
            (
                {"type": "hook", "id": HOOK_ID, "account_id": B, "document": DOCUMENT, "created": 1e300},
                "created",
            ),
            ({"type": "api_key", "digest": "0" * 64, "account_id": B, "created": {}}, "created"),
            ({"type": "token", "digest": "0" * 64, "account_id": B, "restrictions": {}}, "restrictions"),
        ],
    )
    def test_a_value_that_no_storage_takes_is_named(self, cli: CliHarness, record: Any, key: str) -> None:
        cli.run("account", "create", "--id", B)
        number = {"type": "number", "number": "+4722555019", "account_id": B}
        head = {"type": "kazoo_bridge_export", "version": 1}
        code, lines, errors = run("import", "-", stdin="\n".join(map(json.dumps, [head, record, number])))
        assert (code, len(errors)) == (1, 1)
        assert errors[0].startswith("refused line 2: ")
        assert f" {key}: expected " in errors[0]
        assert lines == [
            "line: 0 created, 0 updated, 0 unchanged, 1 refused",
            "number: 1 created, 0 updated, 0 unchanged, 0 refused",
        ]

    def test_limits_and_numbers_are_updated(self, cli: CliHarness) -> None:
        fill(cli)
        lines = [
            {"type": "kazoo_bridge_export", "version": 1},
            {"type": "limits", "account_id": A, "attempt_failure_count": 3},
            {"type": "number", "number": "+4722555019", "account_id": B},
        ]
        cli.run("import", "-", stdin="\n".join(map(json.dumps, lines)))
        assert stored().limits == {A: AccountLimits(3)}
        assert stored().numbers == {"4722555019": B}
