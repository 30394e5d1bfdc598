from __future__ import annotations

import gc
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.topics import TopicTable, matches

segments = st.sampled_from(["", "a", "b", "call", "*", "#", "größe"])
keys = st.lists(segments, max_size=6).map(".".join)
patterns = st.lists(st.one_of(st.sampled_from(["*", "#"]), segments), max_size=6).map(".".join)


def expected(pattern: list[str], key: list[str]) -> bool:
    """Match by the rules, segment by segment."""
    if not pattern:
        return not key
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(expected(rest, key[skipped:]) for skipped in range(len(key) + 1))
    return bool(key) and first in ("*", key[0]) and expected(rest, key[1:])


def expected_match(pattern: str, key: str) -> bool:
    return expected(pattern.split(".") if pattern else [], key.split(".") if key else [])


def reachable_objects(table: TopicTable[int]) -> int:
    """Count the dictionaries and nodes that a table refers to."""
    seen: dict[int, object] = {}
    waiting: list[object] = [table]
    while waiting:
        found = waiting.pop()
        if id(found) not in seen and (
            isinstance(found, dict) or type(found).__module__ == TopicTable.__module__
        ):
            seen[id(found)] = found
            waiting += gc.get_referents(found)
    return len(seen)


def make_table(size: int) -> TopicTable[int]:
    table: TopicTable[int] = TopicTable()
    for number in range(size):
        table.add(f"call.*.id{number}", number)
        table.add(f"dialog.realm{number}.#", number)
        table.add(f"exact.{number}", number)
    return table


def count_calls(table: TopicTable[int], key: str) -> int:
    """Count the Python and C functions that a look-up calls, a measure of the nodes that it visits."""
    calls = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        table.match(key)
    finally:
        sys.setprofile(None)
    return calls


@given(patterns, keys)
def test_a_pattern_matches_by_the_rules(pattern: str, key: str) -> None:
    assert matches(pattern, key) is expected_match(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key", "answer"),
    [
        ("call.*.*", "call.CHANNEL_CREATE.abc", True),
        ("call.*.*", "call.CHANNEL_CREATE", False),
        ("call.*.*", "call.CHANNEL_CREATE.abc.d", False),
        ("call.*.*", "call..", True),
        ("call.#", "call", True),
        ("call.#", "caller", False),
        ("#.*", "", False),
        ("#", "", True),
        ("", "", True),
        ("", ".", False),
        ("*", "", False),
        (".", ".", True),
        ("*.*", ".", True),
        ("a.#.#.b", "a.b", True),
        ("#.a.#.a.#", "a", False),
        ("a*", "ab", False),
    ],
)
def test_single_cases(pattern: str, key: str, answer: bool) -> None:
    assert matches(pattern, key) is answer


@given(
    st.lists(st.tuples(st.booleans(), patterns, st.integers(0, 3)), max_size=25), st.lists(keys, max_size=5)
)
def test_a_table_finds_what_was_added_and_not_discarded(
    steps: list[tuple[bool, str, int]], looked_up: list[str]
) -> None:
    table: TopicTable[int] = TopicTable()
    model: dict[tuple[str, int], None] = {}
    for adding, pattern, value in steps:
        if adding:
            table.add(pattern, value)
            model.setdefault((pattern, value))
        else:
            table.discard(pattern, value)
            model.pop((pattern, value), None)
    for key in [*looked_up, *(pattern for _, pattern, _ in steps)]:
        assert table.match(key) == list(
            dict.fromkeys(value for pattern, value in model if expected_match(pattern, key))
        )
    assert set(table.patterns()) == {pattern for pattern, _ in model}
    assert len(table) == len({pattern for pattern, _ in model})
    assert bool(table) is bool(model)


@given(st.lists(st.tuples(patterns, st.integers(0, 3)), max_size=25))
def test_nothing_is_left_of_what_was_discarded(added: list[tuple[str, int]]) -> None:
    table: TopicTable[int] = TopicTable()
    for pattern, value in added:
        table.add(pattern, value)
    for pattern, value in reversed(added):
        table.discard(pattern, value)
    assert not table
    assert reachable_objects(table) == reachable_objects(TopicTable())


def test_values_come_once_in_the_order_they_were_added() -> None:
    table: TopicTable[str] = TopicTable()
    for pattern, value in [
        ("a.b", "second"),
        ("a.*", "first"),
        ("#", "second"),
        ("*.b", "third"),
        ("a.b", "first"),
    ]:
        table.add(pattern, value)
    assert table.match("a.b") == ["second", "first", "third"]
    table.discard("a.b", "second")
    assert table.match("a.b") == ["first", "second", "third"]


def test_without_wildcards_every_pattern_means_itself() -> None:
    table: TopicTable[str] = TopicTable(wildcards=False)
    table.add("a.*", "star")
    table.add("#", "hash")
    assert table.match("a.b") == []
    assert table.match("a.*") == ["star"]
    assert table.match("#") == ["hash"]


def test_many_wildcards_do_not_cost_exponential_time() -> None:
    """Trying every way to spread 40 segments over these wildcards would exceed the time limit of tests."""
    table: TopicTable[int] = TopicTable()
    table.add(".".join(["#", "a"] * 15) + ".b", 1)
    assert table.match(".".join(["a"] * 40)) == []
    assert table.match(".".join(["a"] * 40) + ".b") == [1]


def test_a_look_up_costs_what_matches_not_what_is_in_the_table() -> None:
    small, large = make_table(10), make_table(1000)
    for key in ("call.CHANNEL_CREATE.id7", "dialog.realm8.x.y", "exact.9", "nothing.at.all"):
        assert count_calls(small, key) == count_calls(large, key)
    assert large.match("call.CHANNEL_CREATE.id7") == [7]
    assert large.match("dialog.realm8.x.y") == [8]
    assert large.match("exact.9") == [9]
    assert large.match("nothing.at.all") == []
