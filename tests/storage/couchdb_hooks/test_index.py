from __future__ import annotations

from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.storage.couchdb_hooks.index import HookIndex
from tests.storage.record_factories import ONE, THREE, TWO, A, B


def test_hooks_by_account_and_by_id() -> None:
    index = HookIndex()
    index.put(ONE, A, "1-x")
    index.put(TWO, A, "1-y")
    index.put(THREE, B, "1-z")
    index.put(ONE, A, "2-x")
    assert (len(index), index.count(A), index.revision(ONE), index.revision("?")) == (3, 2, "2-x", None)
    assert sorted(index.of_accounts([A, B, "?"])) == [ONE, TWO, THREE]
    index.remove(THREE)
    index.remove("?")
    assert (index.of_accounts([B]), index.count(B)) == ([], 0)
    index.clear()
    assert (len(index), index.of_accounts([A])) == (0, [])


def test_a_hook_can_move_to_another_account() -> None:
    index = HookIndex()
    index.put(ONE, A, "1-x")
    index.put(ONE, B, "2-x")
    assert (index.of_accounts([A]), index.of_accounts([B])) == ([], [ONE])


def test_a_hook_that_cannot_be_used_is_none() -> None:
    index = HookIndex()
    index.note(ONE, StoredHook(ONE, A, {}, "1-x", 0, 0))
    assert (index.revision(ONE), index.of_accounts([A])) == ("1-x", [ONE])
    index.note(ONE, None)
    assert (index.revision(ONE), len(index)) == (None, 0)
