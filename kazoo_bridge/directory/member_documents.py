"""Users, devices, groups and extensions from KAZOO's documents and from crossbar's lists, which share keys.

What is not of the expected form is left out, and every text, list and number of members is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, evolve, field

from kazoo_bridge.interfaces import DEVICE, GROUP, USER, Device, Group, GroupMember, People, User
from kazoo_bridge.kazoo import is_true

#: Characters of a text, items of a list, and members of a group.
MAX_TEXT_LENGTH, MAX_ITEMS, MAX_GROUP_MEMBERS = 256, 100, 1000

#: Users, devices, groups and callflows of one account that are read, of each kind.
MAX_DOCUMENTS = 20_000

_MEMBER_ID = re.compile("[0-9A-Za-z][0-9A-Za-z_-]{0,127}")

#: Keys of documents whose values give access: passwords of SIP, codes of hot-desking and the like.
_SECRET_KEY = re.compile("(^|_)(password|pin|secret|token|credentials|api_key)$")

_SIP_DEVICE = "sip_device"


def is_member_id(value: object) -> bool:
    """Return whether `value` may be the id of a user, a device or a group."""
    return isinstance(value, str) and _MEMBER_ID.fullmatch(value) is not None


def is_of_type(document: Mapping[str, Any], kind: str) -> bool:
    """Return whether a document has this ``pvt_type``, and is not (softly) deleted."""
    return document.get("pvt_type") == kind and not is_true(document.get("pvt_deleted"))


def to_public(document: Mapping[str, Any], member_id: str) -> dict[str, Any]:
    """Return a document as KAZOO shows it, with ``id`` and without private keys, and without secrets."""
    public = {key: value for key, value in document.items() if not key.startswith(("pvt_", "_"))}
    shown: dict[str, Any] = _without_secrets(public)
    return shown | {"id": member_id}


def parse_user(document: Mapping[str, Any], user_id: str) -> User:
    """Return a user, without extensions and devices. `document` may be a row of crossbar's list."""
    return User(
        user_id,
        _text(document.get("first_name")) or "",
        _text(document.get("last_name")) or "",
        username=_text(document.get("username")),
        email=_text(document.get("email")),
        presence_id=_text(document.get("presence_id")),
        priv_level=_text(document.get("priv_level")),
        timezone=_text(document.get("timezone")),
        features=_texts(document.get("features")),
        enabled=document.get("enabled") is not False,
    )


def parse_device(document: Mapping[str, Any], device_id: str, realm: str | None) -> Device:
    """Return a device, without extensions; `realm` is that of its account.

    In crossbar's list, the name with which it registers is ``username``, in the document ``sip.username``.
    """
    sip = _object(document.get("sip"))
    username = _text(sip.get("username")) or _text(document.get("username"))
    owner_id = document.get("owner_id")
    owner = str(owner_id) if is_member_id(owner_id) else None
    hotdesking = _object(_object(document.get("hotdesk")).get("users"))
    at_it = tuple(one for one in list(hotdesking)[:MAX_ITEMS] if is_member_id(one))
    return Device(
        device_id,
        _text(document.get("name")) or "",
        _text(document.get("device_type")) or _SIP_DEVICE,
        enabled=document.get("enabled") is not False,
        owner_id=owner,
        user_ids=at_it or (() if owner is None else (owner,)),
        mac_address=_text(document.get("mac_address")) or "",
        sip_username=username,
        realm=(_text(sip.get("realm")) or realm or None) if username else None,
    )


def parse_group(document: Mapping[str, Any], group_id: str) -> Group:
    """Return a group. ``endpoints`` of its document are its members, by id."""
    members = []
    for member_id, value in list(_object(document.get("endpoints")).items())[:MAX_GROUP_MEMBERS]:
        kind = _object(value).get("type")
        if kind in (USER, DEVICE, GROUP) and is_member_id(member_id):
            members.append(GroupMember(member_id, str(kind)))
    name, features = _text(document.get("name")) or "", _texts(document.get("features"))
    return Group(group_id, name, features, tuple(members))


@define(eq=False)
class PeopleBuilder:
    """Collects the members of an account, and brings them together."""

    is_complete: bool = True
    _users: dict[str, User] = field(init=False, factory=dict)
    _devices: dict[str, Device] = field(init=False, factory=dict)
    _groups: dict[str, Group] = field(init=False, factory=dict)
    _extensions: dict[str, set[str]] = field(init=False, factory=dict)

    def add(self, member: User | Device | Group) -> None:
        """Add a member."""
        match member:
            case User():
                self._users[member.id] = member
            case Device():
                self._devices[member.id] = member
            case Group():
                self._groups[member.id] = member

    def add_callflow(self, callflow: Mapping[str, Any]) -> None:
        """Add the numbers of a callflow to the user or device that it begins with, else to its owner."""
        flow = _object(callflow.get("flow"))
        member_id = callflow.get("owner_id")
        if flow.get("module") in (USER, DEVICE):
            member_id = _object(flow.get("data")).get("id") or member_id
        if is_member_id(member_id):
            self._extensions.setdefault(str(member_id), set()).update(_texts(callflow.get("numbers")))

    def build(self) -> People:
        """Return the people: users with their devices, users and devices with their extensions."""
        device_ids: dict[str, list[str]] = {}
        for device in self._devices.values():
            for user_id in device.user_ids:
                device_ids.setdefault(user_id, []).append(device.id)
        users = {
            user.id: evolve(
                user,
                extensions=self._extensions_of(user.id),
                device_ids=tuple(sorted(device_ids.get(user.id, ()))),
            )
            for user in self._users.values()
        }
        devices = {
            device.id: evolve(device, extensions=self._extensions_of(device.id))
            for device in self._devices.values()
        }
        return People(users, devices, self._groups, is_complete=self.is_complete)

    def _extensions_of(self, member_id: str) -> tuple[str, ...]:
        numbers: Iterable[str] = self._extensions.get(member_id, ())
        return tuple(sorted(numbers, key=lambda number: (len(number), number))[:MAX_ITEMS])


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_secrets(inner)
            for key, inner in value.items()
            if isinstance(inner, bool) or not _SECRET_KEY.search(key.lower())
        }
    return [_without_secrets(one) for one in value] if isinstance(value, list) else value


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value[:MAX_TEXT_LENGTH] if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    items = value[:MAX_ITEMS] if isinstance(value, list) else ()
    return tuple(one[:MAX_TEXT_LENGTH] for one in items if isinstance(one, str) and one)
