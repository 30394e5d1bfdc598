"""Two directories in order: local accounts beside KAZOO's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kazoo_bridge.directory.chain import DirectoryChain, _when_all
from kazoo_bridge.directory.ttl_cache import CacheLookups
from kazoo_bridge.interfaces import (
    UNKNOWN_PEOPLE,
    Account,
    IDirectory,
    IPeople,
    IQuickcall,
    ITokenDoubts,
    People,
    Principal,
    StorageUnavailable,
    Topic,
    User,
    UserLogin,
)
from kazoo_bridge.kazoo import Event
from tests.directory.fakes import FakeDirectory

OPERATOR = Account("operator", "Operator", "", superadmin=True)
SHOP = Account("shop", "Shop", "", ("operator",))
RESELLER = Account("reseller", "Reseller", "")
CUSTOMER = Account("customer", "Customer", "", ("reseller",))
OTHER = Account("other", "Other", "")


@pytest.fixture
def local() -> FakeDirectory:
    directory = FakeDirectory(OPERATOR, SHOP)
    directory.tokens = {"of operator": Principal("operator", superadmin=True), "of shop": Principal("shop")}
    return directory


@pytest.fixture
def kazoo() -> FakeDirectory:
    directory = FakeDirectory(RESELLER, CUSTOMER, OTHER)
    directory.tokens = {"of reseller": Principal("reseller"), "of customer": Principal("customer")}
    return directory


@pytest.fixture
def chain(local: FakeDirectory, kazoo: FakeDirectory) -> DirectoryChain:
    return DirectoryChain([local, kazoo])


def failure(answer: Deferred[Any]) -> type[BaseException] | None:
    failed: list[Failure] = []
    answer.addErrback(failed.append)
    return failed[0].type if failed else None


def test_it_implements_the_interface(chain: DirectoryChain) -> None:
    assert verifyObject(IDirectory, chain)
    assert verifyObject(IPeople, chain)


@pytest.mark.parametrize(
    ("token", "account_id"), [("of operator", "operator"), ("of customer", "customer"), ("of none", None)]
)
def test_the_first_directory_that_knows_a_token_authenticates_it(
    chain: DirectoryChain, token: str, account_id: str | None
) -> None:
    answer: Any = chain.authenticate(token).result
    assert (None if answer is None else answer.account_id) == account_id


def test_the_first_of_two_directories_that_know_a_token_counts(
    chain: DirectoryChain, kazoo: FakeDirectory
) -> None:
    kazoo.tokens["of shop"] = Principal("reseller")
    assert chain.authenticate("of shop").result == Principal("shop")


@pytest.mark.parametrize(
    ("actor", "account_id", "allowed"),
    [
        ("operator", "customer", True),
        ("operator", "shop", True),
        ("reseller", "customer", True),
        ("reseller", "reseller", True),
        ("reseller", "other", False),
        ("reseller", "shop", False),
        ("customer", "reseller", False),
        ("shop", "customer", False),
        ("shop", "operator", False),
        ("unknown", "customer", False),
        ("unknown", "unknown", False),
        ("reseller", "unknown", False),
    ],
)
def test_who_may_act_for_whom(chain: DirectoryChain, actor: str, account_id: str, allowed: bool) -> None:
    assert chain.can_act_for(Principal(actor), account_id).result is allowed


def test_the_principal_of_no_account_is_none(chain: DirectoryChain, kazoo: FakeDirectory) -> None:
    del kazoo.accounts["customer"]
    assert chain.authenticate("of customer").result is None


def test_the_account_decides_whether_a_principal_is_a_superadmin(
    chain: DirectoryChain, kazoo: FakeDirectory
) -> None:
    kazoo.tokens |= {"claims": Principal("other", superadmin=True), "as operator": Principal("operator")}
    assert chain.authenticate("claims").result == Principal("other")
    assert chain.authenticate("as operator").result == Principal("operator", superadmin=True)


def test_accounts_come_from_the_directory_that_knows_them(chain: DirectoryChain) -> None:
    assert chain.account("shop").result == SHOP
    assert chain.account("customer").result == CUSTOMER
    assert chain.account("unknown").result is None
    assert chain.ancestors("customer") == ("reseller",)
    assert chain.ancestors("unknown") is None
    assert chain.descendants("reseller").result == {"customer"}
    assert chain.descendants("operator").result == {"shop"}
    assert chain.descendants("unknown").result == frozenset()


def test_superadmins(chain: DirectoryChain, kazoo: FakeDirectory) -> None:
    kazoo.accounts["shop"] = Account("shop", "", "", superadmin=True)
    assert [chain.is_superadmin(one) for one in ("operator", "shop", "customer", "unknown")] == [
        True,
        False,  # the first directory that knows it says no
        False,
        False,
    ]


def test_accounts_may_come_from_fewer_directories(local: FakeDirectory, kazoo: FakeDirectory) -> None:
    chain = DirectoryChain([local, kazoo], accounts=[local])
    kazoo.tokens["of shop in KAZOO"] = Principal("shop")
    assert chain.account("customer").result is None
    assert chain.authenticate("of customer").result is None
    assert chain.authenticate("of shop in KAZOO").result == Principal("shop")


def test_api_keys(chain: DirectoryChain, kazoo: FakeDirectory) -> None:
    kazoo.keys["key"] = ("token", Principal("customer"))
    assert chain.login("key").result == ("token", Principal("customer"))
    assert chain.login("no key").result is None


@pytest.mark.parametrize("order", [1, -1])
def test_an_unavailable_directory_hides_no_answer(
    local: FakeDirectory, kazoo: FakeDirectory, order: int
) -> None:
    chain = DirectoryChain([local, kazoo][::order])
    kazoo.unavailable = True
    assert chain.authenticate("of operator").result == Principal("operator", superadmin=True)
    assert chain.account("shop").result == SHOP
    assert chain.can_act_for(Principal("operator"), "customer").result is True
    assert chain.descendants("operator").result == {"shop"}


def test_what_no_other_directory_knows_is_unavailable(chain: DirectoryChain, kazoo: FakeDirectory) -> None:
    kazoo.unavailable = True
    answers: list[Deferred[Any]] = [
        chain.authenticate("of customer"),
        chain.login("key"),
        chain.account("customer"),
        chain.descendants("customer"),
        chain.can_act_for(Principal("shop"), "customer"),
        chain.can_act_for(Principal("customer"), "customer"),
    ]
    assert [failure(answer) for answer in answers] == [StorageUnavailable] * len(answers)


def test_numbers(chain: DirectoryChain, local: FakeDirectory, kazoo: FakeDirectory) -> None:
    local.numbers["100"] = "shop"
    kazoo.remote_numbers |= {"100": "customer", "200": "customer"}
    assert chain.account_for_number("100") == "shop"
    assert chain.look_up_number("100") is None
    assert chain.account_for_number("200") is None
    asked = chain.look_up_number("200")
    assert asked is not None
    assert asked.called
    assert chain.account_for_number("200") == "customer"
    assert chain.look_up_number("300") is None


def test_a_number_that_cannot_be_looked_up(chain: DirectoryChain, kazoo: FakeDirectory) -> None:
    kazoo.remote_numbers["200"] = "customer"
    kazoo.unavailable = True
    asked = chain.look_up_number("200")
    assert asked is not None
    assert failure(asked) is StorageUnavailable


def test_a_lookup_that_is_given_up_ends_at_once_in_all_directories() -> None:
    slow: list[Deferred[None]] = [Deferred(), Deferred()]
    asked = _when_all(slow)
    assert asked is not None
    asked.cancel()
    assert failure(asked) is CancelledError
    assert slow[1].called


def test_it_loads_starts_and_stops_all(
    chain: DirectoryChain, local: FakeDirectory, kazoo: FakeDirectory
) -> None:
    loading = Deferred.fromCoroutine(chain.load())
    assert loading.called
    assert (local.loaded, kazoo.loaded) == (1, 1)
    chain.startService()
    assert (local.running, kazoo.running) == (1, 1)
    stopping = chain.stopService()
    assert stopping.called
    assert (local.running, kazoo.running) == (0, 0)


def test_all_follow_changes(chain: DirectoryChain, local: FakeDirectory, kazoo: FakeDirectory) -> None:
    following = chain.on_change("token", frozenset({"digest"}))
    assert following is not None
    assert following.called
    assert (local.changes, kazoo.changes) == (["token"], ["token"])
    local.unavailable = True
    following = chain.on_change("account", frozenset())
    assert following is not None
    assert failure(following) is StorageUnavailable
    assert kazoo.changes == ["token", "account"]


def test_the_revision_changes_when_one_does(chain: DirectoryChain, kazoo: FakeDirectory) -> None:
    before = chain.rights_revision
    kazoo.revision += 1
    assert chain.rights_revision != before


def test_messages_reach_all(chain: DirectoryChain, local: FakeDirectory, kazoo: FakeDirectory) -> None:
    one, other = Topic("configuration", "doc_edited.#"), Topic("configuration", "doc_deleted.#")
    assert chain.configuration_topics == frozenset()
    local.topics, kazoo.topics = frozenset({one}), frozenset({one, other})
    assert chain.configuration_topics == {one, other}
    event = Event("configuration", "doc_edited.x", {}, b"{}")
    chain.on_configuration_event(event)
    chain.on_configuration_missed()
    assert (local.messages, kazoo.messages) == ([event, None], [event, None])


def test_every_directory_is_closed(chain: DirectoryChain, local: FakeDirectory, kazoo: FakeDirectory) -> None:
    Deferred.fromCoroutine(chain.close())
    assert (local.closed, kazoo.closed) == (True, True)


def test_problems_of_all_are_named(chain: DirectoryChain, local: FakeDirectory, kazoo: FakeDirectory) -> None:
    assert (chain.problem(), chain.degraded()) == (None, [])
    local.problems, kazoo.problems = ["a", "b"], ["c", "d"]
    assert (chain.problem(), chain.degraded()) == ("a; c", ["b", "d"])


def test_users_log_in_at_the_first_directory_that_has_some(
    chain: DirectoryChain, kazoo: FakeDirectory
) -> None:
    assert chain.log_in_user({"credentials": "x"}).result is None
    login = UserLogin("token", Principal("customer"), {"owner_id": "1"})
    kazoo.users["x"] = login
    assert chain.log_in_user({"credentials": "x"}).result == login
    kazoo.unavailable = True
    assert failure(chain.log_in_user({"credentials": "x"})) is StorageUnavailable


def test_a_token_ends_in_every_directory(
    chain: DirectoryChain, local: FakeDirectory, kazoo: FakeDirectory
) -> None:
    kazoo.tokens["of shop"] = Principal("shop")
    assert chain.log_out("of shop").result is True
    assert "of shop" not in {**local.tokens, **kazoo.tokens}
    assert chain.log_out("of shop").result is False
    local.unavailable = True
    assert failure(chain.log_out("of customer")) is StorageUnavailable
    assert "of customer" not in kazoo.tokens


@pytest.mark.parametrize("token", ["of customer", "of reseller"])
def test_a_disabled_account_has_no_tokens(chain: DirectoryChain, kazoo: FakeDirectory, token: str) -> None:
    account_id = token.removeprefix("of ")
    kazoo.accounts[account_id] = evolve(kazoo.accounts[account_id], enabled=False)
    assert chain.authenticate(token).result is None
    assert chain.can_act_for(Principal(account_id), account_id).result is False
    assert chain.can_act_for(Principal("operator"), account_id).result is True


@implementer(IQuickcall)
class CallingDirectory(FakeDirectory):
    """A directory that makes calls of its own accounts."""

    def quickcall(
        self, account_id: str, kind: str, member_id: str, number: str, options: Mapping[str, str]
    ) -> Deferred[Sequence[str] | None]:
        return succeed([f"{kind} {member_id} {number}"] if account_id in self.accounts else None)


def test_the_directory_that_knows_the_person_makes_the_call(local: FakeDirectory) -> None:
    chain = DirectoryChain([local, CallingDirectory(CUSTOMER)])
    assert chain.quickcall("customer", "user", "u1", "2003", {}).result == ["user u1 2003"]
    assert chain.quickcall("shop", "user", "u1", "2003", {}).result is None


class PeopleKnowingDirectory(FakeDirectory):
    """A directory that knows the people of its own accounts."""

    def sip_usernames(self, account_id: str, kind: str, member_id: str) -> Deferred[Sequence[str] | None]:
        return self._known(account_id, [f"{kind} {member_id}"], None)

    def people(self, account_id: str) -> Deferred[People]:
        return self._known(account_id, People({"u1": User("u1", account_id)}), UNKNOWN_PEOPLE)

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        return self._known(account_id, {"id": member_id, "kind": kind}, None)

    def _known(self, account_id: str, known: Any, unknown: Any) -> Deferred[Any]:
        if self.unavailable:
            return fail(StorageUnavailable("away"))
        return succeed(known if account_id in self.accounts else unknown)


@implementer(ITokenDoubts)
class DoubtingDirectory(FakeDirectory):
    """A directory that doubts one token."""

    def is_in_doubt(self, token: str) -> bool:
        return token == "doubtful"


def test_a_token_is_in_doubt_if_a_directory_doubts_it(local: FakeDirectory) -> None:
    chain = DirectoryChain([local, DoubtingDirectory(CUSTOMER)])
    assert verifyObject(ITokenDoubts, chain)
    assert [chain.is_in_doubt(token) for token in ("doubtful", "other")] == [True, False]
    assert not DirectoryChain([local]).is_in_doubt("doubtful")


def test_people_are_those_of_the_directory_that_knows_them(local: FakeDirectory) -> None:
    kazoo = PeopleKnowingDirectory(CUSTOMER)
    chain = DirectoryChain([local, kazoo])
    assert chain.sip_usernames("customer", "user", "u1").result == ["user u1"]
    assert chain.sip_usernames("shop", "user", "u1").result is None
    found: Any = chain.people("customer").result
    assert found.users["u1"].first_name == "customer"
    assert chain.people("shop").result is UNKNOWN_PEOPLE
    assert chain.member_document("customer", "user", "u1").result == {"id": "u1", "kind": "user"}
    assert chain.member_document("shop", "user", "u1").result is None
    kazoo.unavailable = True
    assert failure(chain.sip_usernames("customer", "user", "u1")) is StorageUnavailable
    assert failure(chain.people("shop")) is StorageUnavailable
    assert failure(chain.member_document("customer", "user", "u1")) is StorageUnavailable


class _CachingDirectory(FakeDirectory):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._lookups = {name: CacheLookups()}

    @property
    def cache_lookups(self) -> Mapping[str, CacheLookups]:
        return self._lookups


def test_it_has_the_lookups_of_all_caches() -> None:
    chain = DirectoryChain([_CachingDirectory("one"), FakeDirectory(), _CachingDirectory("two")])
    assert chain.cache_lookups.keys() == {"one", "two"}
