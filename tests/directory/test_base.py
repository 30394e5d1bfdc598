"""A directory that overrides nothing allows nothing."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from zope.interface.verify import verifyObject

from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.interfaces import (
    UNKNOWN_PEOPLE,
    Device,
    IDirectory,
    IPeople,
    ISipUsernames,
    People,
    Principal,
    User,
)


@pytest.fixture
def directory() -> BaseDirectory:
    return BaseDirectory()


def test_it_implements_the_interface(directory: BaseDirectory) -> None:
    for interface in (IDirectory, IPeople, ISipUsernames):
        assert verifyObject(interface, directory)


def test_it_knows_nothing_and_allows_nothing(directory: BaseDirectory) -> None:
    answers: list[Deferred[Any]] = [
        directory.authenticate("token"),
        directory.login("key"),
        directory.log_in_user({"credentials": "x"}),
        directory.account("account"),
        directory.can_act_for(Principal("account", superadmin=True), "account"),
    ]
    assert [answer.result for answer in answers] == [None, None, None, None, False]
    assert directory.descendants("account").result == frozenset()
    assert directory.log_out("token").result is False
    assert directory.ancestors("account") is None
    assert not directory.is_superadmin("account")
    assert directory.account_for_number("100") is None
    assert directory.look_up_number("100") is None
    assert directory.people("account").result is UNKNOWN_PEOPLE
    assert directory.member_document("account", "user", "u1").result is None
    assert directory.sip_usernames("account", "user", "u1").result is None


def test_user_names_are_those_of_the_people_that_it_knows() -> None:
    class WithPeople(BaseDirectory):
        def people(self, account_id: str) -> Deferred[People]:
            devices = {
                one: Device(one, sip_username=name) for one, name in (("d1", "b"), ("d2", "a"), ("d3", None))
            }
            return succeed(People({"u1": User("u1", device_ids=("d1", "d2", "d3"))}, devices))

    directory = WithPeople()
    assert directory.sip_usernames("account", "user", "u1").result == ["a", "b"]
    assert directory.sip_usernames("account", "user", "u2").result == []


def test_it_has_nothing_to_load_and_no_problem(directory: BaseDirectory) -> None:
    loading = Deferred.fromCoroutine(directory.load())
    assert loading.called
    assert directory.on_change("token", frozenset()) is None
    assert directory.configuration_topics == frozenset()
    assert (directory.rights_revision, directory.problem(), directory.degraded()) == (0, None, [])
