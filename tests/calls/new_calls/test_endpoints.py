from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.calls.new_calls.endpoints import MAX_ENDPOINTS, EndpointFinder, SipEndpoint
from kazoo_bridge.interfaces import UNKNOWN_PEOPLE, CommandRefused, Device, People, User
from tests.calls.new_calls.fakes import REALM, DirectoryWithUsernames, make_directory, make_people
from tests.calls.switch import ACCOUNT, OTHER

_results = SynchronousTestCase()


def find(directory: Any, kind: str, member_id: str, account_id: str = ACCOUNT) -> Any:
    found = EndpointFinder(directory).find(account_id, kind, member_id)
    return _results.successResultOf(ensureDeferred(found))


def refusal(directory: Any, kind: str, member_id: str) -> Any:
    found = EndpointFinder(directory).find(ACCOUNT, kind, member_id)
    return _results.failureResultOf(ensureDeferred(found), CommandRefused).value.errors


def test_a_users_enabled_telephones_that_register() -> None:
    assert find(make_directory(), "user", "u1") == [
        SipEndpoint("ada", REALM, "d1", "u1"),
        SipEndpoint("ada-soft", REALM, "d2", "u1"),
    ]


def test_a_device_with_its_own_realm() -> None:
    assert find(make_directory(), "device", "hall") == [SipEndpoint("hall", "hall.example.com", "hall")]


@pytest.mark.parametrize(
    ("kind", "member_id"),
    [
        ("user", "d1"),
        ("device", "u1"),
        ("user", "lazy"),
        ("user", "gone"),
        ("device", "off"),
    ],
)
def test_who_has_no_telephone_is_refused(kind: str, member_id: str) -> None:
    assert list(refusal(make_directory(), kind, member_id)) == ["from_id"]


def test_people_of_another_account_are_not_found() -> None:
    assert find(make_directory(), "user", "u1", OTHER) is None


def test_a_member_that_was_not_read_may_exist() -> None:
    people = make_people(is_complete=False)
    assert find(make_directory(known=people), "user", "u77") is None
    assert len(find(make_directory(known=people), "user", "u1")) == 2


def test_user_names_serve_where_people_are_not_known() -> None:
    assert find(DirectoryWithUsernames(), "user", "u1") == [SipEndpoint("ada", REALM)]
    assert find(DirectoryWithUsernames(), "device", "d1") == [SipEndpoint("ada", REALM, "d1")]
    assert list(refusal(DirectoryWithUsernames(), "user", "u2")) == ["from_id"]
    assert find(DirectoryWithUsernames(), "user", "u1", OTHER) is None


def test_nothing_is_known_without_a_directory_or_people() -> None:
    assert find(None, "user", "u1") is None
    assert find(make_directory(known=UNKNOWN_PEOPLE), "user", "u1") is None


def test_the_number_of_telephones_is_bounded() -> None:
    devices = {f"d{n}": Device(f"d{n}", sip_username=f"s{n}") for n in range(MAX_ENDPOINTS + 5)}
    people = People({"u1": User("u1", device_ids=tuple(devices))}, devices)
    assert len(find(make_directory(known=people), "user", "u1")) == MAX_ENDPOINTS


def test_telephones_whose_registration_is_not_known_are_left_to_kazoo() -> None:
    assert find(make_directory(), "device", "forward") is None


def test_the_device_of_a_user_or_itself() -> None:
    def device_id(directory: Any, kind: str, member_id: str) -> Any:
        found = EndpointFinder(directory).device_id(ACCOUNT, kind, member_id)
        return _results.successResultOf(ensureDeferred(found))

    assert device_id(make_directory(), "user", "u1") == "d1"
    assert device_id(make_directory(), "device", "forward") == "forward"
    assert device_id(DirectoryWithUsernames(), "user", "u1") is None
