"""Finds the SIP endpoints of a user or a device, from what the directory knows."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from kazoo_bridge.calls.new_calls.request import FROM_DEVICE
from kazoo_bridge.interfaces import CommandRefused, IDirectory, IPeople, ISipUsernames
from kazoo_bridge.schema_errors import field_error

#: Telephones that one command lets ring; further ones do not.
MAX_ENDPOINTS = 20


@frozen
class SipEndpoint:
    """A telephone that registers as `username` at `realm`; `device_id` is None if it is not known."""

    username: str
    realm: str
    device_id: str | None = None
    owner_id: str | None = None


@frozen
class EndpointFinder:
    """Asks the directory. Without one, no endpoint is known."""

    _directory: IDirectory | None = None

    async def realm(self, account_id: str) -> str:
        """Return the realm of an account; empty if it is not known. Raises `StorageUnavailable`."""
        account = await self._directory.account(account_id) if self._directory is not None else None
        return account.realm if account is not None else ""

    async def find(self, account_id: str, kind: str, member_id: str) -> Sequence[SipEndpoint] | None:
        """Return the enabled telephones of a user or a device of the account; None: nothing is known of any.

        `kind` is ``user`` or ``device``. Raises `CommandRefused` if the account has no such user or device,
        or it has no telephone, and `StorageUnavailable`.
        """
        found = await self._of_people(account_id, kind, member_id)
        if found is None:
            found = await self._of_usernames(account_id, kind, member_id)
        if found is not None and not found:
            message = f"the account has no {kind} of this id with a telephone that registers"
            raise CommandRefused(field_error("from_id", "not_found", message, cause=member_id))
        return None if found is None else found[:MAX_ENDPOINTS]

    async def _of_people(self, account_id: str, kind: str, member_id: str) -> list[SipEndpoint] | None:
        if not IPeople.providedBy(self._directory):
            return None
        people = await IPeople(self._directory).people(account_id)
        if not people.is_known:
            return None
        user = people.users.get(member_id)
        if user is not None and not user.enabled:
            return []
        realm = await self.realm(account_id)
        devices = people.devices_of(kind, member_id)
        if not devices and not people.is_complete:
            return None  # it may be one that was not read
        return [
            SipEndpoint(device.sip_username, device.realm or realm, device.id, device.owner_id)
            for device in devices
            if device.enabled and device.sip_username and (device.realm or realm)
        ]

    async def _of_usernames(self, account_id: str, kind: str, member_id: str) -> list[SipEndpoint] | None:
        if not ISipUsernames.providedBy(self._directory):
            return None
        names = await ISipUsernames(self._directory).sip_usernames(account_id, kind, member_id)
        realm = await self.realm(account_id)
        if names is None or not realm:
            return None
        device_id = member_id if kind == FROM_DEVICE else None
        return [SipEndpoint(name, realm, device_id) for name in names]
