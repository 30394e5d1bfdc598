from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.directory.ttl_cache import TtlCache


def test_an_entry_expires() -> None:
    cache: TtlCache[int] = TtlCache(10)
    cache.put("short", 1, until=5)
    cache.put("lasting", 2, until=None)
    assert cache.get("short", 4.9) == 1
    assert cache.get("short", 5) is None
    assert len(cache) == 1
    assert cache.get("lasting", 1e12) == 2


def test_a_new_value_replaces_the_old_one_and_its_expiry() -> None:
    cache: TtlCache[int] = TtlCache(10)
    cache.put("key", 1, until=5)
    cache.put("key", 2, until=9)
    assert cache.get("key", 8) == 2
    assert len(cache) == 1


def test_entries_are_discarded_by_key_and_by_value() -> None:
    cache: TtlCache[int] = TtlCache(10)
    for number, key in enumerate("abc"):
        cache.put(key, number, until=None)
    assert [cache.discard(key) for key in ("a", "never stored")] == [True, False]
    assert (cache.get("a", 0), cache.get("b", 0), cache.get("c", 0)) == (None, 1, 2)
    cache.discard_if(lambda value: value == 2)
    assert (cache.get("b", 0), cache.get("c", 0)) == (1, None)
    cache.clear()
    assert len(cache) == 0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef"))))
def test_the_least_recently_used_entry_is_dropped_first(steps: list[tuple[bool, str]]) -> None:
    cache: TtlCache[str] = TtlCache(3)
    recent: list[str] = []
    for put, key in steps:
        if put:
            cache.put(key, key, None)
        expected = key if put or key in recent else None
        assert cache.get(key, 0) == expected
        if expected is not None:
            recent = [*(one for one in recent if one != key), key][-3:]
        assert len(cache) == len(recent) <= 3
