"""People of an account: its users, its devices and its groups, as a directory knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

#: The kinds of members that an account has, named like KAZOO's ``pvt_type``.
USER, DEVICE, GROUP = "user", "device", "group"


@frozen
class Device:
    """A device: a telephone, a softphone, a forwarded mobile.

    `device_type`: KAZOO's word, such as ``sip_device``, ``softphone`` or ``cellphone``. `owner_id`: the id of
    the user that owns it. `user_ids`: the ids of the users whose calls it rings for: those who are logged in
    at it by hot-desking, else its owner.

    `sip_username` and `realm`: with what it registers; None: it does not register (a forwarded telephone), or
    the source does not say. `realm` is the device's own, else that of its account. `extensions`: the numbers
    that call this device alone, shortest first.

    Example: ``Device("d1", "Hall", owner_id="u1", user_ids=("u1",), sip_username="hall", realm="pbx.test")``.
    """

    id: str
    name: str = ""
    device_type: str = "sip_device"
    enabled: bool = True
    owner_id: str | None = None
    user_ids: tuple[str, ...] = ()
    mac_address: str = ""
    sip_username: str | None = None
    realm: str | None = None
    extensions: tuple[str, ...] = ()


@frozen
class User:
    """A user. `extensions`: the numbers that call the user, shortest first.

    `device_ids`: the ids of the devices that ring for the user's calls. `features`, `priv_level` (``user`` or
    ``admin``), `timezone` and `presence_id` are KAZOO's, as its lists have them; None: not given.
    """

    id: str
    first_name: str = ""
    last_name: str = ""
    username: str | None = None
    email: str | None = None
    presence_id: str | None = None
    priv_level: str | None = None
    timezone: str | None = None
    features: tuple[str, ...] = ()
    enabled: bool = True
    extensions: tuple[str, ...] = ()
    device_ids: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """First and last name; empty if the user has neither."""
        return f"{self.first_name} {self.last_name}".strip()


@frozen
class GroupMember:
    """A member of a group. `kind` is `USER`, `DEVICE` or `GROUP`."""

    id: str
    kind: str


@frozen
class Group:
    """A group; `members` are in the order of the source."""

    id: str
    name: str = ""
    features: tuple[str, ...] = ()
    members: tuple[GroupMember, ...] = ()


@frozen
class People:
    """Users, devices and groups of one account, by id, at one moment.

    `is_known`: False if the source knows no people of the account at all; there are none in it then.
    `is_complete`: False if the account has more than are read.
    """

    users: Mapping[str, User] = field(factory=dict)
    devices: Mapping[str, Device] = field(factory=dict)
    groups: Mapping[str, Group] = field(factory=dict)
    is_known: bool = True
    is_complete: bool = True

    def devices_of(self, kind: str, member_id: str) -> tuple[Device, ...]:
        """Return the devices of a member of the account, each once; disabled ones, too.

        `kind` and `member_id`: `DEVICE`: the device itself; `USER`: the devices that ring for the user's
        calls; `GROUP`: those of its members, of groups within it, too. Empty for a member that does not
        exist.
        """
        found, waiting, seen = dict[str, Device](), [(kind, member_id)], set[str]()
        while waiting:
            kind, member_id = waiting.pop()
            if kind == DEVICE and member_id in self.devices:
                found[member_id] = self.devices[member_id]
            elif kind == USER and member_id in self.users:
                waiting += [(DEVICE, one) for one in reversed(self.users[member_id].device_ids)]
            elif kind == GROUP and member_id in self.groups and member_id not in seen:
                seen.add(member_id)
                waiting += [(member.kind, member.id) for member in reversed(self.groups[member_id].members)]
        return tuple(found.values())


#: The answer of a directory that knows no people of an account.
UNKNOWN_PEOPLE = People(is_known=False)


class IPeople(Interface):
    """What a directory may know beside `IDirectory`: the people of accounts.

    The caller has checked the rights on the account. Every directory of the project provides it; one of a
    plugin's or a test's may not, so ask ``IPeople.providedBy(directory)``.
    """

    def people(account_id: str) -> Deferred[People]:
        """Return the people of the account, which may be some seconds old; `UNKNOWN_PEOPLE`: none are known.

        Who asks at the same time for the same account waits for the same read. Fails with
        `StorageUnavailable` if the source does not answer and nothing is known.
        """

    def member_document(account_id: str, kind: str, member_id: str) -> Deferred[Mapping[str, Any] | None]:
        """Return the document of a user, a device or a group as KAZOO shows it: with ``id``, without secrets.

        `kind` is `USER`, `DEVICE` or `GROUP`. None: the account has no such member, or the directory knows
        none. Fails with `StorageUnavailable`.
        """
