"""Finds the SIP endpoints of a user or a device, from what the directory knows."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from kazoo_bridge.calls.new_calls.request import FROM_DEVICE
from kazoo_bridge.interfaces import CommandRefused, Device, IDirectory, IPeople, ISipUsernames
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
        devices = await self._devices(account_id, kind, member_id)
        if devices is not None:
            realm = await self.realm(account_id)
            found = [
                SipEndpoint(device.sip_username, device.realm or realm, device.id, device.owner_id)
                for device in devices
                if device.sip_username and (device.realm or realm)
            ]
            return found[:MAX_ENDPOINTS] or None
        endpoints = await self._of_usernames(account_id, kind, member_id)
        if endpoints is not None and not endpoints:
            raise _no_telephone(kind, member_id)
        return None if endpoints is None else endpoints[:MAX_ENDPOINTS]

    async def device_id(self, account_id: str, kind: str, member_id: str) -> str | None:
        """Return the id of the first enabled device of a user, or of the device; None: it is not known.

        Raises like `find`.
        """
        devices = await self._devices(account_id, kind, member_id)
        return devices[0].id if devices else None

    async def _devices(self, account_id: str, kind: str, member_id: str) -> list[Device] | None:
        """Return the enabled devices, at least one; None if the account's people are not known."""
        if not IPeople.providedBy(self._directory):
            return None
        people = await IPeople(self._directory).people(account_id)
        if not people.is_known:
            return None
        devices = people.devices_of(kind, member_id)
        if not devices and not people.is_complete:
            return None  # it may be one that was not read
        user = people.users.get(member_id)
        found = [device for device in devices if device.enabled]
        if not found or (user is not None and not user.enabled):
            raise _no_telephone(kind, member_id)
        return found

    async def _of_usernames(self, account_id: str, kind: str, member_id: str) -> list[SipEndpoint] | None:
        if not ISipUsernames.providedBy(self._directory):
            return None
        names = await ISipUsernames(self._directory).sip_usernames(account_id, kind, member_id)
        realm = await self.realm(account_id)
        if names is None or not realm:
            return None
        device_id = member_id if kind == FROM_DEVICE else None
        return [SipEndpoint(name, realm, device_id) for name in names]


def _no_telephone(kind: str, member_id: str) -> CommandRefused:
    message = f"the account has no {kind} of this id with a telephone that is enabled"
    return CommandRefused(field_error("from_id", "not_found", message, cause=member_id))
