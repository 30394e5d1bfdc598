from __future__ import annotations

from kazoo_bridge.interfaces import Account


def test_the_reseller_is_the_parent() -> None:
    assert Account("a", "n", "r", ancestors=("parent", "top")).reseller_id == "parent"


def test_the_account_at_the_top_has_no_reseller() -> None:
    assert Account("a", "n", "r").reseller_id is None
