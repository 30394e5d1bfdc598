"""A directory with people, for new calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    UNKNOWN_PEOPLE,
    Account,
    Device,
    IPeople,
    IQuickcall,
    ISipUsernames,
    People,
    User,
)
from tests.calls.switch import ACCOUNT
from tests.rest.fakes import FakeDirectory

REALM = "pbx.example.com"

ADA = User("u1", "Ada", "Byron", extensions=("2001",), device_ids=("d1", "d2", "off", "forward"))

DEVICES = (
    Device("d1", owner_id="u1", user_ids=("u1",), sip_username="ada", realm=REALM),
    Device("d2", owner_id="u1", user_ids=("u1",), sip_username="ada-soft"),
    Device("off", owner_id="u1", enabled=False, sip_username="ada-old", realm=REALM),
    Device("forward", owner_id="u1", device_type="cellphone"),
    Device("hall", sip_username="hall", realm="hall.example.com"),
)


def make_people(**more: Any) -> People:
    users = {"u1": ADA, "lazy": User("lazy"), "gone": User("gone", enabled=False, device_ids=("d1",))}
    return People(users, {device.id: device for device in DEVICES}, **more)


@implementer(IPeople)
@define(eq=False)
class DirectoryWithPeople(FakeDirectory):
    """The account `ACCOUNT` and its people."""

    known: People = field(factory=make_people)

    def __attrs_post_init__(self) -> None:
        self.accounts[ACCOUNT] = Account(ACCOUNT, "Byron", REALM)

    def people(self, account_id: str) -> Deferred[People]:
        return succeed(self.known if account_id == ACCOUNT else UNKNOWN_PEOPLE)

    def member_document(
        self, account_id: str, kind: str, member_id: str
    ) -> Deferred[Mapping[str, Any] | None]:
        return succeed(None)


@define(eq=False)
class SlowDirectory(DirectoryWithPeople):
    """Knows the people when `answer` is called."""

    waiting: list[Deferred[People]] = field(factory=list)

    def people(self, account_id: str) -> Deferred[People]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def answer(self) -> None:
        while self.waiting:
            self.waiting.pop(0).callback(self.known)


def make_directory(**more: Any) -> DirectoryWithPeople:
    return DirectoryWithPeople(**more)


@implementer(ISipUsernames)
@define(eq=False)
class DirectoryWithUsernames(FakeDirectory):
    """Knows the SIP user names of ``u1`` only."""

    def __attrs_post_init__(self) -> None:
        self.accounts[ACCOUNT] = Account(ACCOUNT, "Byron", REALM)

    def sip_usernames(self, account_id: str, kind: str, member_id: str) -> Deferred[Sequence[str] | None]:
        return succeed(["ada"] if member_id in ("u1", "d1") else [])


@implementer(IQuickcall)
@define(eq=False)
class DirectoryWithQuickcall(FakeDirectory):
    """Lets KAZOO make calls; `asked` are the arguments, `call_ids` the answer."""

    asked: list[tuple[Any, ...]] = field(factory=list)
    call_ids: Sequence[str] | None = ("q1-quickcall",)

    def __attrs_post_init__(self) -> None:
        self.accounts[ACCOUNT] = Account(ACCOUNT, "Byron", REALM)

    def quickcall(
        self, account_id: str, kind: str, member_id: str, number: str, options: Mapping[str, str]
    ) -> Deferred[Sequence[str] | None]:
        self.asked.append((account_id, kind, member_id, number, dict(options)))
        return succeed(self.call_ids)
