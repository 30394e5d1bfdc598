"""Import of KAZOO's databases, from a server of CouchDB's protocol."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from kazoo_bridge.cli.couch_source import CouchSource, modernize, parse_limits
from kazoo_bridge.cli.importer import Importer
from kazoo_bridge.cli.transfer import ImportPosition
from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.couchdb.names import ACCOUNTS, WEBHOOKS, account_database
from kazoo_bridge.interfaces import AccountLimits
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.storage import engine, migrate
from kazoo_bridge.storage.transfer import Snapshot
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules
from tests.cli.test_transfer import stored
from tests.couchdb.kazoo_cluster import CHILD, CUSTOMER, MASTER, NUMBER, RESELLER, SIBLING, KazooCluster
from tests.couchdb.server import CouchServer


def run(*arguments: str) -> tuple[int, list[str], list[str]]:
    """Run the command in a process of its own, because it runs a reactor."""
    command = [sys.executable, "-m", "kazoo_bridge.cli", "--yes", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def hook(number: int, account_id: str = CUSTOMER, **more: Any) -> dict[str, Any]:
    return {
        "_id": f"{number:032x}",
        "pvt_type": "webhook",
        "pvt_account_id": account_id,
        "name": f"Hook {number}",
        "uri": "https://example.com/x",
        "hook": "channel_create",
        "pvt_created": 63636183145,
        **more,
    }


@pytest.fixture
def couch(couchdb_server: CouchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CouchServer:
    monkeypatch.chdir(tmp_path)
    couchdb_server.wipe()
    KazooCluster(couchdb_server).populate()
    monkeypatch.setenv("KAZOO_BRIDGE__COUCHDB__URI", couchdb_server.uri)
    return couchdb_server


@pytest.fixture
def cluster(couch: CouchServer) -> None:
    """Hooks, limits and numbers of all sorts."""
    couch.save_many(
        WEBHOOKS,
        [
            hook(1, hook="CHANNEL_CREATE", http_verb="GET", enabled="true"),
            hook(2, enabled=False, pvt_disabled_message="too many failed attempts"),
            hook(3, pvt_deleted=True),
            hook(4, hook="unheard_of"),
            hook(5, account_id="9" * 32),
            {"_id": "_design/webhooks", "views": {}},
        ],
    )
    couch.update(ACCOUNTS, SIBLING, pvt_enabled=False)
    couch.save(account_database(CUSTOMER), {"_id": "configs_webhooks", "attempt_failure_count": 3})
    couch.save("numbers/+4722", {"_id": "+4722555019", "pvt_assigned_to": SIBLING, "pvt_state": "available"})
    couch.save(ACCOUNTS, {"_id": "7" * 32, "pvt_type": "account", "pvt_tree": "x"})


@pytest.mark.usefixtures("cluster")
def test_the_whole_cluster_is_imported() -> None:
    code, lines, errors = run("import", "couchdb")
    assert (code, lines) == (
        1,
        [
            "account: 5 created, 0 updated, 0 unchanged, 1 refused",
            "hook: 2 created, 0 updated, 0 unchanged, 2 refused",
            "limits: 1 created, 0 updated, 0 unchanged, 0 refused",
            "number: 1 created, 0 updated, 0 unchanged, 0 refused",
        ],
    )
    assert [line.partition(": ")[0] for line in errors] == [
        f"refused account {'7' * 32}",
        f"refused hook {4:032x}",
        f"refused hook {5:032x}",
    ]
    assert errors[1].endswith(', got "unheard_of"')
    after = stored()
    assert {one.id: one.parent_id for one in after.accounts.values()} == {
        MASTER: None,
        RESELLER: MASTER,
        CUSTOMER: RESELLER,
        SIBLING: RESELLER,
        CHILD: CUSTOMER,
    }
    assert [one.id for one in after.accounts.values() if one.superadmin] == [MASTER]
    assert [one.id for one in after.accounts.values() if not one.enabled] == [SIBLING]
    assert after.numbers == {NUMBER.removeprefix("+"): CUSTOMER}
    assert after.limits == {CUSTOMER: AccountLimits(3)}
    first, second = after.hooks.values()
    assert (first.id, first.created, first.document["hook"]) == (f"{1:032x}", 63636183145, "channel_create")
    assert (first.document["http_verb"], first.document["enabled"]) == ("get", True)
    assert second.document["disable_reason"] == "too many failed attempts"


@pytest_twisted.ensureDeferred
async def test_an_import_may_be_repeated_and_continues_where_another_has_stopped(
    couch: CouchServer, cluster: None
) -> None:
    catalogue = HookCatalogue.from_types(one for category in find_categories() for one in category.hooks)
    snapshot = Snapshot({}, {}, {}, {}, {})

    async def read(position: str) -> tuple[list[str], list[str], list[int]]:
        """Import; returns the report, the positions reached, and the steps of progress."""
        client = CouchClient.from_uri(reactor, couch.uri)
        importer = Importer(snapshot, None, lambda *refused: None)
        reached: list[str] = []
        progress: list[int] = []
        rules = DocumentRules.from_catalogue(catalogue)
        source = CouchSource(client, rules, importer, position, reached.append, progress.append)
        assert await source.total() == 12
        await source.run()
        await client.close()
        return importer.summary(), reached, progress

    last_hook, numbers = "hooks _design/webhooks", ["numbers numbers/+1415", "numbers numbers/+4722"]
    created, reached, progress = await read("")
    assert created[1] == "hook: 2 created, 0 updated, 0 unchanged, 2 refused"
    assert (reached, progress) == ([last_hook, *numbers], [6, 6, 1, 1])
    unchanged = await read("")
    assert unchanged[0] == [
        "account: 0 created, 0 updated, 5 unchanged, 1 refused",
        "hook: 0 created, 0 updated, 2 unchanged, 2 refused",
        "limits: 0 created, 0 updated, 1 unchanged, 0 refused",
        "number: 0 created, 0 updated, 1 unchanged, 0 refused",
    ]
    continued = await read(f"hooks {2:032x}")
    assert continued[0][1] == "hook: 0 created, 0 updated, 1 unchanged, 2 refused"
    assert (await read(numbers[1]))[1:] == (numbers[1:], [6, 1])


def test_the_position_of_an_import_is_kept(tmp_path: Path) -> None:
    opened = engine.open_engine(f"sqlite:///{tmp_path}/b.sqlite3")
    migrate.upgrade(opened)
    position = ImportPosition(opened)
    assert position.get() == ""
    position.set("hooks 1")
    position.set("hooks 2")
    assert position.get() == "hooks 2"
    dry = ImportPosition(None)
    dry.set("hooks 3")
    assert (dry.get(), position.get()) == ("", "hooks 2")
    position.set(None)
    assert position.get() == ""
    opened.dispose()


def test_without_couchdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAZOO_BRIDGE__COUCHDB__URI", "http://kazoo:hunter2@127.0.0.1:9")
    code, _, errors = run("import", "couchdb")
    assert (code, len(errors)) == (1, 1)
    assert errors[0].startswith("Error: couchdb.uri: ")
    assert "repeat to continue" in errors[0]
    assert "hunter2" not in errors[0]
    code, _, errors = run("import", "couchdb", "--dry-run")
    assert (code, len(errors)) == (1, 1)
    assert "imported" not in errors[0]


def test_values_that_kazoo_accepts() -> None:
    given = {
        "_id": "x",
        "pvt_type": "webhook",
        "hook": "ALL",
        "enabled": "False",
        "custom_data": "",
        "uri": None,
    }
    assert modernize(given | {"modifiers": []}) == {"hook": "all", "enabled": False}


def test_limits_that_cannot_be_used_are_left_out() -> None:
    assert parse_limits({"attempt_failure_count": 0, "attempt_failure_expiry_ms": "x"}) is None
    assert parse_limits({"attempt_failure_expiry_ms": 1000}) == AccountLimits(None, 1000)
