"""Accounts in memory, and answers kept for a while."""

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.directory.account_tree import AccountTree
from kazoo_bridge.directory.ttl_cache import TtlCache
from kazoo_bridge.interfaces import Account


@frozen
class Row:
    id: str
    parent_id: str | None = None
    name: str = "name"
    realm: str = "realm"
    superadmin: bool = False


def tree(**parents: str | None) -> AccountTree:
    made = AccountTree()
    made.replace_all(Row(account, parent) for account, parent in parents.items())
    return made


def test_a_family() -> None:
    family = tree(top=None, left="top", right="top", leaf="left")
    assert family.find("leaf") == Account("leaf", "name", "realm", ("left", "top"))
    assert family.find("top") == Account("top", "name", "realm", ())
    assert family.find("nobody") is None
    assert family.descendants("top") == {"left", "right", "leaf"}
    assert family.descendants("leaf") == family.descendants("nobody") == set()
    assert "leaf" in family
    assert len(family) == 4


def test_changes_are_seen() -> None:
    family = tree(top=None, left="top", leaf="left")
    assert family.find("leaf").ancestors == ("left", "top")
    assert family.descendants("left") == {"leaf"}
    family.update(["left", "new"], [Row("left", None, realm="other"), Row("new", "leaf")])
    assert family.find("leaf").ancestors == ("left",)
    assert family.find("left").realm == "other"
    assert family.descendants("left") == {"leaf", "new"}
    family.update(["leaf"], [])
    assert family.find("leaf") is None
    assert family.descendants("left") == set()
    assert family.find("new").ancestors == ()
    assert family.missing_parent("new") == "leaf"
    assert family.missing_parent("left") is None
    assert family.missing_parent("leaf") == "leaf"


def test_rings_are_cut() -> None:
    family = tree(a="b", b="c", c="a", self="self", below="a")
    assert family.find("a").ancestors == ("b", "c")
    assert family.find("self").ancestors == ()
    assert family.find("below").ancestors == ("a", "b", "c")
    assert family.descendants("a") == {"b", "c", "below"}
    assert family.missing_parent("below") is None


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.none() | st.sampled_from("abcdefgh")))
def test_ancestors_and_descendants_agree(parents: dict[str, str | None]) -> None:
    family = tree(**parents)
    for account in parents:
        ancestors = family.find(account).ancestors
        assert account not in ancestors
        assert len(set(ancestors)) == len(ancestors)
        assert {other for other in parents if account in family.find(other).ancestors} == family.descendants(
            account
        )


def test_answers_have_their_time() -> None:
    answers: TtlCache[int] = TtlCache(10)
    answers.put("short", 1, until=5)
    answers.put("lasting", 2, until=None)
    assert answers.get("short", 4.9) == 1
    assert answers.get("short", 5) is None
    assert len(answers) == 1
    assert answers.get("lasting", 1e12) == 2
    answers.discard_if(lambda answer: answer == 2)
    answers.discard("never there")
    assert len(answers) == 0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef"))))
def test_the_least_recently_used_go_first(steps: list[tuple[bool, str]]) -> None:
    answers: TtlCache[str] = TtlCache(3)
    recent: list[str] = []
    for put, question in steps:
        if put:
            answers.put(question, question, None)
        expected = question if put or question in recent else None
        assert answers.get(question, 0) == expected
        if expected is not None:
            recent = [*(one for one in recent if one != question), question][-3:]
        assert len(answers) == len(recent) <= 3
