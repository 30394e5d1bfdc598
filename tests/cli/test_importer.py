from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from kazoo_bridge.cli import importer as importer_module
from kazoo_bridge.cli.importer import Importer
from kazoo_bridge.interfaces import AccountLimits, Secret, StoredHook
from kazoo_bridge.storage.accounts import StoredAccount, StoreRejected
from kazoo_bridge.storage.transfer import Snapshot, StoredCredential

A, B = "a" * 32, "b" * 32
ACCOUNT = StoredAccount(A, None, "Solberg", "a.example", False, 5)
HOOK = StoredHook(
    "d" * 32, A, {"name": "n", "headers": {"x": "***"}}, "3-x", 1, 2, (Secret("s"),), {"x": "y"}
)


class Harness:
    """An importer over an account and a hook; `written` counts the changes of each transaction."""

    def __init__(self, failing: Callable[[], bool] = lambda: False) -> None:
        self.refused: list[tuple[str, str, str]] = []
        self.written: list[str] = []
        self.incomplete: list[tuple[str, list[str]]] = []
        self._failing = failing
        snapshot = Snapshot({A: ACCOUNT}, {}, {"4722555019": A}, {HOOK.id: HOOK}, {})
        self.importer = Importer(
            snapshot,
            self.write,
            lambda *refused: self.refused.append(refused),
            lambda hook_id, missing: self.incomplete.append((hook_id, list(missing))),
        )

    def write(self, change: Any) -> None:
        self.written.append(change.__name__)
        if self._failing():
            raise StoreRejected("changed meanwhile")


def test_changes_are_written_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer_module, "BATCH_SIZE", 3)
    harness = Harness()
    for number in range(7):
        harness.importer.add_number(f"+472255500{number}", A)
    assert len(harness.written) == 2
    harness.importer.flush()
    harness.importer.flush()
    assert len(harness.written) == 3
    assert harness.importer.summary() == ["number: 7 created, 0 updated, 0 unchanged, 0 refused"]


def test_what_a_node_makes_impossible_meanwhile_is_refused_alone() -> None:
    results = iter([True, False, True])  # the batch, then each change
    harness = Harness(lambda: next(results))
    harness.importer.place = "line 7"
    harness.importer.add_number("+4722555001", A)
    harness.importer.add_number("+4722555002", A)
    harness.importer.place = "line 9"
    harness.importer.flush()
    assert harness.refused == [("number", "+4722555002", "changed meanwhile (line 7)")]
    assert harness.importer.summary() == ["number: 1 created, 0 updated, 0 unchanged, 1 refused"]
    assert harness.importer.refused == 1


def test_a_realm_that_has_become_free_may_be_taken() -> None:
    harness = Harness()
    harness.importer.add_account(evolve(ACCOUNT, realm="new.example"))
    harness.importer.add_account(StoredAccount(B, A, "", "a.example", False, 1))
    harness.importer.add_account(StoredAccount("c" * 32, A, "", "new.example", False, 1))
    assert harness.importer.summary() == ["account: 1 created, 1 updated, 0 unchanged, 1 refused"]
    assert harness.refused[0][2] == "another account has the realm new.example already"


def test_hooks_keep_their_secrets_if_none_are_given() -> None:
    harness = Harness()
    given = evolve(HOOK, document={"name": "n"}, secrets=(), headers={}, revision="")
    harness.importer.add_hook(given, keep_secrets=True)
    harness.importer.add_hook(given, keep_secrets=False)
    harness.importer.add_hook(evolve(given, id="x"), keep_secrets=False)
    harness.importer.add_hook(evolve(given, account_id=B), keep_secrets=False)
    assert harness.importer.summary() == ["hook: 0 created, 1 updated, 1 unchanged, 2 refused"]
    assert harness.importer.accounts_with_hooks() == [A]


def test_hooks_get_back_the_credentials_of_their_uri_if_it_is_the_same() -> None:
    harness = Harness()
    with_credentials = evolve(HOOK, document={"name": "n", "uri": "https://me:pw@hook.example/x"})
    harness.importer.add_hook(with_credentials, keep_secrets=False)
    given = evolve(HOOK, document={"name": "n", "uri": "https://hook.example/x"}, secrets=(), headers={})
    left_out = {"secrets", "headers", "credentials"}
    harness.importer.add_hook(given, keep_secrets=True, left_out=left_out)
    assert harness.importer.summary() == ["hook: 0 created, 1 updated, 1 unchanged, 0 refused"]
    assert harness.incomplete == []
    moved = evolve(given, document={"name": "n", "uri": "https://other.example/x"})
    harness.importer.add_hook(moved, keep_secrets=True, left_out=left_out)
    new = evolve(given, id="e" * 32)
    harness.importer.add_hook(new, keep_secrets=True, left_out=left_out)
    assert harness.incomplete == [
        (HOOK.id, ["credentials"]),
        (new.id, ["credentials", "headers", "secrets"]),
    ]


def test_credentials_and_limits() -> None:
    harness = Harness()
    credential = StoredCredential("api_key", "0" * 64, A, 1.0)
    harness.importer.add_credential(credential)
    harness.importer.add_credential(credential)
    harness.importer.add_credential(evolve(credential, created=2.0))
    harness.importer.add_limits(A, AccountLimits(1))
    harness.importer.add_limits(A, AccountLimits(1))
    harness.importer.add_limits(B, AccountLimits(1))
    assert harness.importer.summary() == [
        "api_key: 1 created, 0 updated, 1 unchanged, 1 refused",
        "limits: 1 created, 0 updated, 1 unchanged, 1 refused",
    ]
    assert harness.refused[0] == ("api_key", "00000000…", "it is stored with other values")
