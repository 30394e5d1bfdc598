"""``/v2/accounts/{A}/users``, ``/devices`` and ``/groups``: the people of an account, to read.

The rows are those of crossbar's lists, with the extensions of users and devices beside them. See
``cb_users``, ``cb_devices`` and ``cb_groups`` of ``applications/crossbar`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import (
    DEVICE,
    GROUP,
    UNKNOWN_PEOPLE,
    USER,
    Device,
    Group,
    IDirectory,
    IPeople,
    People,
    User,
)
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.pagination import Paginator
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_ACCOUNT = "/v2/accounts/<account_id>"

#: Members that are looked at, which count as another request: they take as much time.
MEMBERS_PER_REQUEST = 500

Row = dict[str, Any]


@frozen
class PeopleResource(RoutedResource):
    """Reads users, devices and groups."""

    directory: IDirectory

    @route("GET", f"{_ACCOUNT}/users")
    @account_handler
    async def list_users(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the users, by last and first name."""
        people = await self._people(account_id)
        rows = map(user_to_api, people.users.values())
        return _make_page(context, rows, lambda row: f"{row['last_name']} {row['first_name']}")

    @route("GET", f"{_ACCOUNT}/users/<user_id>")
    @account_handler
    async def read_user(self, _context: RequestContext, account_id: str, user_id: str) -> Response:
        """Answer with the document of a user, without private keys and secrets."""
        return await self._read(account_id, USER, user_id)

    @route("GET", f"{_ACCOUNT}/devices")
    @account_handler
    async def list_devices(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the devices, by id."""
        people = await self._people(account_id)
        return _make_page(context, map(device_to_api, people.devices.values()), _row_id)

    @route("GET", f"{_ACCOUNT}/devices/<device_id>")
    @account_handler
    async def read_device(self, _context: RequestContext, account_id: str, device_id: str) -> Response:
        """Answer with the document of a device, without private keys and secrets."""
        return await self._read(account_id, DEVICE, device_id)

    @route("GET", f"{_ACCOUNT}/groups")
    @account_handler
    async def list_groups(self, context: RequestContext, account_id: str) -> Response:
        """Answer with the groups, by id."""
        people = await self._people(account_id)
        return _make_page(context, map(group_to_api, people.groups.values()), _row_id)

    @route("GET", f"{_ACCOUNT}/groups/<group_id>")
    @account_handler
    async def read_group(self, _context: RequestContext, account_id: str, group_id: str) -> Response:
        """Answer with the document of a group, without private keys and secrets."""
        return await self._read(account_id, GROUP, group_id)

    async def _people(self, account_id: str) -> People:
        if not IPeople.providedBy(self.directory):
            return UNKNOWN_PEOPLE
        people: People = await IPeople(self.directory).people(account_id)
        return people

    async def _read(self, account_id: str, kind: str, member_id: str) -> Response:
        document: Mapping[str, Any] | None = None
        if IPeople.providedBy(self.directory):
            document = await IPeople(self.directory).member_document(account_id, kind, member_id)
        if document is None:
            raise bad_identifier(member_id)
        return Response(document)


def user_to_api(user: User) -> Row:
    """Return the row of a user."""
    row = {
        "id": user.id,
        "features": list(user.features),
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "priv_level": user.priv_level,
        "presence_id": user.presence_id,
        "timezone": user.timezone,
        "extensions": list(user.extensions),
    }
    return {key: value for key, value in row.items() if value is not None}


def device_to_api(device: Device) -> Row:
    """Return the row of a device; ``username`` is the name with which it registers."""
    row = {
        "id": device.id,
        "name": device.name,
        "username": device.sip_username,
        "mac_address": device.mac_address,
        "owner_id": device.owner_id,
        "enabled": device.enabled,
        "device_type": device.device_type,
        "extensions": list(device.extensions),
    }
    return {key: value for key, value in row.items() if value is not None}


def group_to_api(group: Group) -> Row:
    """Return the row of a group; ``endpoints`` is the number of its members."""
    return {
        "id": group.id,
        "name": group.name,
        "features": list(group.features),
        "endpoints": len(group.members),
    }


def _row_id(row: Row) -> str:
    return str(row["id"])


def _make_page(context: RequestContext, rows: Iterable[Row], order: Callable[[Row], str]) -> Response:
    filters = Filters.parse(context.query)
    paginator = Paginator.from_query(context.query, context.path, context.max_page_bytes)
    found = list(rows)
    context.charge(len(found) // MEMBERS_PER_REQUEST)
    accepted = sorted((row for row in found if filters.accepts(row)), key=lambda row: (order(row), row["id"]))
    page = paginator.from_list(accepted, position=order, identity=_row_id, show=lambda row: row)
    return Response(page.items, metadata=page.metadata())
