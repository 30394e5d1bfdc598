"""The SIP user names of devices, of users and of groups, from the documents of an account's database.

See ``applications/crossbar/src/modules/cb_channels.erl`` in ``2600hz/kazoo``. The view that finds the
devices of a user is KAZOO's own, ``attributes/owned``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import aclosing

from kazoo_bridge.couchdb.client import CouchClient, DatabaseMissing, Document
from kazoo_bridge.couchdb.names import account_database
from kazoo_bridge.kazoo import is_true

_DEVICE, _USER, _GROUP = "device", "user", "group"

_OWNED = "attributes/owned"

#: Members of a group whose devices are looked for.
MAX_MEMBERS = 200

#: Devices of one user that are looked at.
MAX_DEVICES = 500

#: Characters of the id of a document that is read; KAZOO's have 32.
_MAX_ID_LENGTH = 128


async def find_sip_usernames(
    client: CouchClient, account_id: str, kind: str, member_id: str
) -> Sequence[str]:
    """Return the user names of a ``device``, of a ``user``'s devices, or of the devices of a ``group``.

    None are found for what does not exist, or is of another kind. Raises `StorageUnavailable`.
    """
    devices = _Devices(client, account_database(account_id))
    if kind == _DEVICE:
        return _usernames(await devices.of_ids([member_id]))
    if kind == _USER:
        return _usernames(await devices.of_user(member_id))
    return _usernames(await devices.of_group(member_id)) if kind == _GROUP else []


class _Devices:
    """Reads the documents of devices from one database."""

    def __init__(self, client: CouchClient, database: str) -> None:
        self._client = client
        self._database = database

    async def of_ids(self, device_ids: Sequence[str]) -> list[Document]:
        """Return the devices of these ids that exist."""
        wanted = [one for one in device_ids if _is_readable_id(one)]
        try:
            found = await self._client.find_many(self._database, wanted)
        except DatabaseMissing:
            return []
        return [document for document in found.values() if _is_of_type(document, _DEVICE)]

    async def of_user(self, user_id: str) -> list[Document]:
        """Return the devices that a user owns."""
        key, devices = [user_id, _DEVICE], list[Document]()
        try:
            async with aclosing(
                self._client.pages(self._database, _OWNED, start_key=key, options={"endkey": key})
            ) as pages:
                async for rows in pages:
                    devices += [row.doc for row in rows if row.doc and _is_of_type(row.doc, _DEVICE)]
                    if len(devices) >= MAX_DEVICES:
                        break
        except DatabaseMissing:
            return []
        return devices[:MAX_DEVICES]

    async def of_group(self, group_id: str) -> list[Document]:
        """Return the devices of a group: those it names, and those of the users it names."""
        group = await self._client.find(self._database, group_id) if _is_readable_id(group_id) else None
        if group is None or not _is_of_type(group, _GROUP):
            return []
        members = _members(group)
        devices = await self.of_ids([one for one, kind in members if kind == _DEVICE])
        for member_id, kind in members:
            if kind == _USER:
                devices += await self.of_user(member_id)
        return devices


def _members(group: Document) -> list[tuple[str, object]]:
    """Return id and type of the first `MAX_MEMBERS` members of a group."""
    endpoints = group.get("endpoints")
    if not isinstance(endpoints, dict):
        return []
    members = [(one, value.get("type")) for one, value in endpoints.items() if isinstance(value, dict)]
    return members[:MAX_MEMBERS]


def _usernames(devices: Iterable[Document]) -> list[str]:
    """Return the user names of devices, each once, in order; a device without one has none."""
    names = set[str]()
    for device in devices:
        sip = device.get("sip")
        name = sip.get("username") if isinstance(sip, dict) else None
        if isinstance(name, str) and name:
            names.add(name)
    return sorted(names)


def _is_of_type(document: Document, kind: str) -> bool:
    return document.get("pvt_type") == kind and not is_true(document.get("pvt_deleted"))


def _is_readable_id(document_id: str) -> bool:
    """Return whether it may be the id of one of KAZOO's documents: ``_all_docs`` and the like are none."""
    return 0 < len(document_id) <= _MAX_ID_LENGTH and not document_id.startswith("_")
