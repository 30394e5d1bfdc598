from __future__ import annotations

import pytest

from kazoo_bridge.webhooks.delivery.recent_ids import RecentIds


@pytest.mark.parametrize("capacity", [1, 9, 10, 25, 1000])
def test_the_latest_ids_are_remembered_and_few_more(capacity: int) -> None:
    ids = RecentIds(capacity)
    for number in range(3 * capacity):
        ids.add(str(number))
        remembered = sum(str(one) in ids for one in range(number + 1))
        assert str(number) in ids
        assert min(number + 1, 0.9 * capacity) <= remembered <= 1.1 * capacity


def test_an_id_that_was_never_added_is_not_remembered() -> None:
    ids = RecentIds(10)
    ids.add("1")
    assert "2" not in ids
