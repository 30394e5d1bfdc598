from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import HookAuthor, RevisionConflict
from kazoo_bridge.storage.couchdb_hooks.document_writer import HookDocumentWriter
from kazoo_bridge.storage.couchdb_hooks.extras import NO_EXTRAS
from tests.directory.couchdb.harness import result_of
from tests.storage.couchdb_hooks.harness import HooksHarness
from tests.storage.record_factories import A

DOCUMENT = {"name": "n", "uri": "https://hook.example/", "hook": "channel_create", "enabled": True}


def test_documents_are_written_over_the_revision_that_was_read(tmp_path: Path) -> None:
    harness = HooksHarness(tmp_path)
    writer = HookDocumentWriter(harness.clock, harness.client, "node")
    author = HookAuthor(A, "u1")
    made = result_of(
        Deferred.fromCoroutine(writer.put({"_id": "1" * 32}, A, dict(DOCUMENT), NO_EXTRAS, author))
    )
    current = result_of(Deferred.fromCoroutine(writer.current(made)))
    assert (current["pvt_account_id"], current["pvt_auth_user_id"]) == (A, "u1")
    changed = result_of(
        Deferred.fromCoroutine(writer.put(current, A, DOCUMENT | {"name": "m"}, NO_EXTRAS, None))
    )
    attempts: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: writer.put(current, A, dict(DOCUMENT), NO_EXTRAS, None),
        lambda: writer.current(made),
        lambda: writer.remove(made),
    ]
    for attempt in attempts:
        failed: list[Failure] = []
        Deferred.fromCoroutine(attempt()).addErrback(failed.append)
        assert [one.type for one in failed] == [RevisionConflict]
    latest = result_of(Deferred.fromCoroutine(writer.current(changed)))
    result_of(Deferred.fromCoroutine(writer.delete_softly(latest, None)))
    assert harness.document(made.id)["pvt_deleted"] is True
