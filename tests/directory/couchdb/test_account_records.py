from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.directory.couchdb.account_records import (
    AccountIndex,
    NotAnAccount,
    parse_account,
    parse_all,
)
from kazoo_bridge.interfaces import Account
from tests.couchdb.kazoo_cluster import CHILD, CUSTOMER, MASTER, RESELLER, SIBLING, TREES, account_document

NOW = 1_790_000_000.0


def index_of(*documents: dict[str, Any]) -> AccountIndex:
    index = AccountIndex()
    for record in parse_all(documents or [account_document(account_id) for account_id in TREES]):
        index.put(record)
    return index


def test_a_document_becomes_an_account() -> None:
    record = parse_account(account_document(CUSTOMER))
    assert record is not None
    assert record.to_account(NOW) == Account(
        CUSTOMER, "Solberg Instruments", "cccccc.sip.example.com", (RESELLER, MASTER), reseller=RESELLER
    )
    assert record.reseller_id == RESELLER
    assert record.is_active(NOW)
    master = parse_account(account_document(MASTER))
    assert master is not None
    assert master.to_account(NOW) == Account(
        MASTER, "Master", "aaaaaa.sip.example.com", (), True, reseller=MASTER, is_reseller=True
    )


@pytest.mark.parametrize("change", [{"pvt_deleted": True}, {"pvt_type": "user"}, {"pvt_type": None}])
def test_what_is_deleted_or_of_another_type_is_no_account(change: dict[str, Any]) -> None:
    assert parse_account(account_document(CUSTOMER) | change) is None


@pytest.mark.parametrize(
    ("change", "active"),
    [
        ({"pvt_enabled": True}, True),
        ({"pvt_enabled": "true"}, True),
        ({"pvt_enabled": False}, False),
        ({"pvt_enabled": "false"}, False),
        ({"pvt_enabled": None}, False),
        ({"pvt_trial_expires": 62167219200 + int(NOW) + 1}, True),
        ({"pvt_trial_expires": 62167219200 + int(NOW)}, False),
        ({"pvt_trial_expires": "soon"}, True),
    ],
)
def test_only_what_is_enabled_and_no_trial_that_has_ended_is_active(
    change: dict[str, Any], active: bool
) -> None:
    record = parse_account(account_document(CUSTOMER) | change)
    assert record is not None
    assert record.is_active(NOW) == active


def test_an_account_without_the_key_is_enabled() -> None:
    document = account_document(CUSTOMER)
    del document["pvt_enabled"], document["pvt_tree"], document["name"], document["pvt_api_key"]
    record = parse_account(document)
    assert record is not None
    assert record.is_active(NOW)
    assert (record.name, record.ancestors, record.api_key) == ("", (), None)


@pytest.mark.parametrize(
    "change",
    [
        {"_id": "x"},
        {"_id": 7},
        {"pvt_tree": None},
        {"pvt_tree": "x"},
        {"pvt_tree": ["x"]},
        {"pvt_tree": [MASTER, 7]},
        {"pvt_tree": [MASTER, CUSTOMER]},
        {"pvt_tree": [MASTER, MASTER]},
        {"pvt_tree": [f"{number:032x}" for number in range(101)]},
    ],
)
def test_a_broken_document_is_logged_and_harms_no_other(change: dict[str, Any]) -> None:
    with pytest.raises(NotAnAccount):
        parse_account(account_document(CUSTOMER) | change)
    with capturedLogs() as logs:
        index = index_of(account_document(MASTER), account_document(CUSTOMER) | change)
    assert index.ids() == {MASTER}
    assert "account of CouchDB not used" in formatEvent(logs[0])


@pytest.mark.parametrize(
    "change", [{"name": 7}, {"realm": None}, {"pvt_reseller_id": "x"}, {"pvt_api_key": 7}]
)
def test_other_mistakes_do_not_lose_the_account(change: dict[str, Any]) -> None:
    assert CUSTOMER in index_of(account_document(CUSTOMER) | change)


def test_a_name_is_bounded_and_fit_for_display() -> None:
    record = parse_account(account_document(CUSTOMER, name="\ud800x" * 500))
    assert record is not None
    assert len(record.name) == 255
    record.name.encode()


def test_descendants_follow_changes() -> None:
    index = index_of()
    assert index.descendants(MASTER) == {RESELLER, CUSTOMER, SIBLING, CHILD}
    assert index.descendants(CUSTOMER) == {CHILD}
    assert index.descendants("9" * 32) == frozenset()
    index.remove(CHILD)
    assert index.descendants(RESELLER) == {CUSTOMER, SIBLING}
    moved = parse_account(account_document(SIBLING, pvt_tree=[MASTER]))
    assert moved is not None
    assert index.put(moved)
    assert index.descendants(RESELLER) == {CUSTOMER}


def test_accounts_above_each_other_do_not_hang() -> None:
    index = index_of(
        account_document(CUSTOMER, pvt_tree=[SIBLING]), account_document(SIBLING, pvt_tree=[CUSTOMER])
    )
    assert index.descendants(CUSTOMER) == {SIBLING}


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        ({}, False),
        ({"name": "New", "realm": "new"}, False),
        ({"pvt_enabled": False}, True),
        ({"pvt_tree": [MASTER]}, True),
        ({"pvt_superduper_admin": True}, False),
        ({"pvt_trial_expires": 1}, True),
    ],
)
def test_a_change_says_whether_rights_may_have_ended(change: dict[str, Any], ended: bool) -> None:
    index = index_of()
    record = parse_account(account_document(CUSTOMER, **change))
    assert record is not None
    assert index.put(record) == ended


def test_a_superadmin_that_is_one_no_more_has_lost_rights() -> None:
    index = index_of()
    record = parse_account(account_document(MASTER, pvt_superduper_admin=False))
    assert record is not None
    assert index.put(record)


def test_api_keys() -> None:
    index = index_of()
    found = index.find_api_key(CUSTOMER * 2)
    assert found is not None
    assert found.id == CUSTOMER
    assert index.find_api_key("x") is None
    changed = parse_account(account_document(CUSTOMER, pvt_api_key="new"))
    assert changed is not None
    index.put(changed)
    assert index.find_api_key(CUSTOMER * 2) is None
    found = index.find_api_key("new")
    assert found is not None
    index.remove(CUSTOMER)
    assert index.find_api_key("new") is None
    assert CUSTOMER * 2 not in repr(changed)


def test_removed_accounts_leave_nothing() -> None:
    def add_and_remove(index: AccountIndex, first: int) -> None:
        for number in range(first, first + 500):
            document = account_document(
                f"{number:032x}", pvt_tree=[MASTER, f"{number + 10**6:032x}"], pvt_reseller_id=MASTER
            )
            index.put(next(iter(parse_all([document]))))
            index.remove(f"{number:032x}")

    index = AccountIndex()
    add_and_remove(index, 0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        add_and_remove(index, 500)
        assert tracemalloc.get_traced_memory()[0] - before < 500 * 100
    finally:
        tracemalloc.stop()
    assert index.descendants(MASTER) == frozenset()


def test_children_share_their_ancestors_also_after_a_move() -> None:
    index = index_of()
    for tree in ([MASTER, RESELLER], [RESELLER]):
        for account_id in (CUSTOMER, SIBLING):
            (record,) = parse_all([account_document(account_id, pvt_tree=list(tree))])
            index.put(record)
        customer, sibling = index.find(CUSTOMER), index.find(SIBLING)
        assert customer is not None
        assert sibling is not None
        assert customer.ancestors == tuple(reversed(tree))
        assert customer.ancestors is sibling.ancestors


def test_an_account_needs_less_than_a_kilobyte() -> None:
    count = 2000
    documents = [
        account_document(f"{number:032x}", name=f"Solberg Instruments {number}", pvt_api_key=f"{number:064x}")
        for number in range(count)
    ]
    tracemalloc.start()
    try:
        index = AccountIndex()
        before = tracemalloc.get_traced_memory()[0]
        for record in parse_all(documents):
            index.put(record)
        del record
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(index) == count
    assert used / count < 1000
