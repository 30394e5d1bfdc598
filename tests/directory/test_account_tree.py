from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from kazoo_bridge.directory.account_tree import AccountTree
from kazoo_bridge.interfaces import Account
from tests.directory.fakes import FakeAccountRow


def make_tree(**parents: str | None) -> AccountTree:
    tree = AccountTree()
    tree.replace_all(FakeAccountRow(account, parent, "name", "realm") for account, parent in parents.items())
    return tree


def find(tree: AccountTree, account_id: str) -> Account:
    account = tree.find(account_id)
    assert account is not None
    return account


def test_an_account_has_its_ancestors_parent_first() -> None:
    tree = make_tree(top=None, left="top", right="top", leaf="left")
    assert tree.find("leaf") == Account("leaf", "name", "realm", ("left", "top"))
    assert tree.find("top") == Account("top", "name", "realm", ())


def test_superadmins_are_marked() -> None:
    tree = AccountTree()
    tree.replace_all([FakeAccountRow("top", superadmin=True), FakeAccountRow("leaf", "top")])
    assert find(tree, "top").superadmin
    assert not find(tree, "leaf").superadmin


def test_descendants_are_found_at_any_depth() -> None:
    tree = make_tree(top=None, left="top", right="top", leaf="left")
    assert tree.descendants("top") == {"left", "right", "leaf"}
    assert tree.descendants("leaf") == set()


def test_an_unknown_account_is_not_found() -> None:
    tree = make_tree(top=None)
    assert tree.find("unknown") is None
    assert tree.descendants("unknown") == set()
    assert "unknown" not in tree
    assert "top" in tree
    assert len(tree) == 1


def test_replacing_all_accounts_removes_the_old_ones() -> None:
    tree = make_tree(top=None, leaf="top")
    assert find(tree, "leaf").ancestors == ("top",)
    tree.replace_all([FakeAccountRow("leaf")])
    assert find(tree, "leaf").ancestors == ()
    assert tree.find("top") is None


def test_changes_reach_the_accounts_around_them() -> None:
    tree = make_tree(top=None, left="top", leaf="left")
    assert find(tree, "leaf").ancestors == ("left", "top")
    assert tree.descendants("left") == {"leaf"}
    tree.update(["left", "new"], [FakeAccountRow("left", None, realm="other"), FakeAccountRow("new", "leaf")])
    assert find(tree, "leaf").ancestors == ("left",)
    assert find(tree, "left").realm == "other"
    assert tree.descendants("left") == {"leaf", "new"}
    tree.update(["leaf"], [])
    assert tree.find("leaf") is None
    assert tree.descendants("left") == set()
    assert find(tree, "new").ancestors == ()


def test_the_missing_parent_is_the_first_unknown_account_on_the_way_up() -> None:
    tree = make_tree(top=None, middle="top", orphan="unknown", below="orphan")
    assert tree.missing_parent("top") is None
    assert tree.missing_parent("middle") is None
    assert tree.missing_parent("orphan") == "unknown"
    assert tree.missing_parent("below") == "unknown"
    assert tree.missing_parent("unknown") == "unknown"


def test_a_cycle_of_parents_is_cut_where_it_closes() -> None:
    tree = make_tree(a="b", b="c", c="a", self="self", below="a")
    with capturedLogs() as logged:
        assert find(tree, "a").ancestors == ("b", "c")
        assert find(tree, "self").ancestors == ()
        assert find(tree, "below").ancestors == ("a", "b", "c")
    assert [event["account"] for event in logged] == ["a", "self", "a"]
    assert tree.descendants("a") == {"b", "c", "below"}
    assert tree.missing_parent("below") is None


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.none() | st.sampled_from("abcdefgh")))
def test_ancestors_and_descendants_agree(parents: dict[str, str | None]) -> None:
    tree = make_tree(**parents)
    for account in parents:
        ancestors = find(tree, account).ancestors
        assert account not in ancestors
        assert len(set(ancestors)) == len(ancestors)
        assert {other for other in parents if account in find(tree, other).ancestors} == tree.descendants(
            account
        )
