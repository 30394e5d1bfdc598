from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.rest.http.errors import ApiError
from kazoo_bridge.rest.http.pagination import (
    DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE,
    MAX_READS,
    Page,
    Paginator,
    decode_page_key,
    encode_page_key,
    encoded_size,
)
from kazoo_bridge.rest.http.query import Query

Item = tuple[int, str]


def paging(query: str = "", scope: str = "list", max_bytes: int = 1_000_000) -> Paginator:
    return Paginator.from_query(Query.parse(f"/v2/x?{query}".encode()), scope, max_bytes)


def show(item: Item) -> Any:
    return {"id": item[1]}


def page(items: Sequence[Item], query: str = "", max_bytes: int = 1_000_000) -> Page[Item]:
    paginator = paging(query, max_bytes=max_bytes)
    return paginator.from_list(items, lambda item: item[0], lambda item: item[1], show)


def refused(query: str, scope: str = "list") -> dict[str, list[str]]:
    with pytest.raises(ApiError) as caught:
        paging(query, scope).from_list([(1, "a")], lambda item: item[0], lambda item: item[1], show)
    assert (caught.value.status, caught.value.word) == (400, "validation error")
    return {name: list(rules) for name, rules in caught.value.data.items()}


def test_the_pages_of_a_list() -> None:
    items = [(number // 3, f"i{number}") for number in range(120)]
    first = page(items)
    assert first.items == items[:DEFAULT_PAGE_SIZE]
    assert first.start_key is None
    second = page(items, f"start_key={first.next_start_key}")
    assert second.items == items[50:100]
    assert second.start_key == first.next_start_key
    last = page(items, f"start_key={second.next_start_key}")
    assert last.items == items[100:]
    assert last.metadata() == {"page_size": 20, "start_key": second.next_start_key}
    assert page(items, "paginate=false").items == items
    assert page(items, "paginate=true&page_size=7").items == items[:7]
    assert page([]).metadata() == {"page_size": 0}
    exact = page(items[:50])
    assert (len(exact.items), exact.next_start_key) == (50, None)


def test_what_goes_between_two_pages_hides_nothing() -> None:
    items = [(1, "a"), (1, "b"), (1, "c"), (2, "d")]
    key = page(items, "page_size=2").next_start_key
    assert page([(1, "b"), (1, "c"), (2, "d")], f"start_key={key}").items == [(1, "c"), (2, "d")]
    assert page([(1, "b"), (2, "d")], f"start_key={key}").items == [(1, "b"), (2, "d")]
    assert page([(1, "a"), (1, "b"), (1, "c"), (1, "cc"), (2, "d")], f"start_key={key}").items == [
        (1, "c"),
        (1, "cc"),
        (2, "d"),
    ]
    assert page([], f"start_key={key}").items == []


@pytest.mark.parametrize("text", ["0", "-1"])
def test_page_sizes_that_are_too_small(text: str) -> None:
    assert refused(f"page_size={text}") == {"page_size": ["minimum"]}


@pytest.mark.parametrize("text", ["", "many", "1.5", "9" * 30])
def test_page_sizes_that_are_no_numbers(text: str) -> None:
    assert refused(f"page_size={text}") == {"page_size": ["type"]}


def test_a_page_size_beyond_the_largest() -> None:
    assert paging("page_size=100000").size == MAX_PAGE_SIZE


def test_start_keys_that_were_not_given_out() -> None:
    good = encode_page_key("list", [1, "a"])
    assert decode_page_key("list", good) == [1, "a"]
    raw = urlsafe_b64decode(good + "=" * (-len(good) % 4))
    for bad in (
        "x",
        good[:-2],
        good + "AA",
        encode_page_key("other", [1, "a"]),
        encode_page_key("list", 3),
        urlsafe_b64encode(raw.replace(b'"a"', b'"b"')).decode(),
        urlsafe_b64encode(b"2" + raw[1:]).decode(),
        "%C5%BD",
        "A" * 5000,
    ):
        assert refused(f"start_key={bad}") == {"start_key": ["wrong_format"]}, bad


@given(st.text(max_size=40))
def test_no_text_is_taken_for_a_key(text: str) -> None:
    with pytest.raises(ApiError):
        decode_page_key("list", text)


class Store:
    """Positions, newest first; at most `at_once` of them are read at once."""

    def __init__(self, *positions: int, at_once: int = 1000) -> None:
        self.positions = positions
        self.at_once = at_once
        self.asked: list[tuple[int | None, int]] = []

    async def fetch(self, after: int | None, count: int) -> list[int]:
        self.asked.append((after, count))
        return [position for position in self.positions if after is None or position < after][
            : min(count, self.at_once)
        ]


async def of_store(
    store: Store,
    query: str = "",
    *,
    even: bool = False,
    max_scanned: int = 5000,
    size: int = 10,
    max_bytes: int = 1_000_000,
) -> Page[int]:
    def accepts(row: int) -> bool:
        return not even or row % 2 == 0

    paginator = paging(query, max_bytes=max_bytes)
    return await paginator.from_store(
        store.fetch, lambda row: row, accepts, lambda _: "x" * (size - 3), max_scanned
    )


@pytest_twisted.ensureDeferred
async def test_the_pages_of_a_store() -> None:
    store = Store(*range(100, 0, -1))
    first = await of_store(store, "page_size=30")
    assert first.items == list(range(100, 70, -1))
    second = await of_store(store, f"page_size=30&start_key={first.next_start_key}", even=True)
    assert second.items == list(range(70, 10, -2))
    third = await of_store(store, f"page_size=30&start_key={second.next_start_key}", even=True)
    assert third.items == [10, 8, 6, 4, 2]
    assert third.next_start_key is None
    assert (await of_store(store, "paginate=false")).items == list(range(100, 0, -1))
    assert (await of_store(store, "page_size=100")).next_start_key is None
    assert (await of_store(Store())).metadata() == {"page_size": 0}


@pytest_twisted.ensureDeferred
async def test_a_request_looks_at_a_bounded_number_of_rows() -> None:
    store = Store(*range(99, 0, -2))
    found, key, requests = [], "", 0
    while True:
        answered = await of_store(store, f"page_size=5{key}", even=True, max_scanned=20)
        found += answered.items
        requests += 1
        assert all(count <= 21 for _, count in store.asked)
        if answered.next_start_key is None:
            break
        key = f"&start_key={answered.next_start_key}"
    assert found == []
    assert requests == 3


@pytest_twisted.ensureDeferred
async def test_a_store_knows_its_own_keys_only() -> None:
    key = encode_page_key("list", [1, "a"])
    with pytest.raises(ApiError):
        await of_store(Store(1), f"start_key={key}")
    with pytest.raises(ApiError):
        await of_store(Store(1), f"start_key={encode_page_key('other', 1)}")


@given(
    st.lists(st.booleans(), max_size=60),
    st.integers(1, 9),
    st.integers(1, 30),
    st.integers(1, 40),
    st.integers(1, 100),
)
def test_every_row_is_seen_once(
    kept: list[bool], size: int, max_scanned: int, at_once: int, max_bytes: int
) -> None:
    store = Store(*range(len(kept), 0, -1), at_once=at_once)
    found: list[int] = []
    key = ""
    for _ in range(200):
        work = paging(f"page_size={size}{key}", max_bytes=max_bytes).from_store(
            store.fetch, lambda row: row, lambda row: kept[row - 1], lambda _: "x" * 7, max_scanned
        )
        with pytest.raises(StopIteration) as ended:
            work.send(None)
        answered: Page[int] = ended.value.value
        assert len(answered.items) <= min(size, max_bytes // 10 + 1)
        found += answered.items
        if answered.next_start_key is None:
            break
        key = f"&start_key={answered.next_start_key}"
    assert found == [position for position in store.positions if kept[position - 1]]


@pytest.mark.parametrize("query", ["page_size=100", "paginate=false"])
@pytest_twisted.ensureDeferred
async def test_a_page_of_a_store_ends_at_a_number_of_bytes(query: str) -> None:
    store = Store(*range(100, 0, -1))
    first = await of_store(store, query, size=10, max_bytes=99)
    assert first.items == list(range(100, 90, -1))
    last = await of_store(Store(*range(10, 0, -1)), query, size=10, max_bytes=99)
    assert (last.items, last.next_start_key) == (list(range(10, 0, -1)), None)


@pytest.mark.parametrize("query", ["page_size=100", "paginate=false"])
def test_a_page_of_a_list_ends_at_a_number_of_bytes(query: str) -> None:
    items = [(number, f"{number:03}") for number in range(100)]  # 13 bytes each, and a comma
    first = page(items, query, max_bytes=25)
    assert first.items == items[:2]
    second = page(items, f"{query}&start_key={first.next_start_key}", max_bytes=25)
    assert second.items == items[2:4]
    assert page(items[:2], query, max_bytes=25).next_start_key is None


@pytest_twisted.ensureDeferred
async def test_a_request_reads_a_store_a_bounded_number_of_times() -> None:
    store = Store(*range(99, 0, -2), at_once=1)
    answered = await of_store(store, even=True)
    assert len(store.asked) <= MAX_READS + 1
    assert answered.next_start_key is not None


@pytest.mark.parametrize("value", ["\ud800", 2**70, float("nan")])
def test_the_size_of_what_is_no_json(value: object) -> None:
    assert encoded_size({"a": value}) > 8


@pytest.mark.parametrize(
    "position",
    [
        [],
        [1],
        ["a", 5],
        [1, 5],
        [1, None],
        [[1], "a"],
        ["a", "a"],
        [True, "a"],
        [1.5, "a"],
        {"a": 1},
        None,
        1,
        "a",
    ],
)
def test_a_made_up_position_in_a_list_is_refused(position: object) -> None:
    key = encode_page_key("list", position)
    assert refused(f"start_key={key}") == {"start_key": ["wrong_format"]}


@pytest.mark.parametrize("position", [-1, 2**63, 2**64 - 1, True, 1.0, "1", [1], None, {}])
@pytest_twisted.ensureDeferred
async def test_a_made_up_position_in_a_store_is_refused(position: object) -> None:
    store = Store(1)
    with pytest.raises(ApiError) as caught:
        await of_store(store, f"start_key={encode_page_key('list', position)}")
    assert {name: list(rules) for name, rules in caught.value.data.items()} == {"start_key": ["wrong_format"]}
    assert store.asked == []
