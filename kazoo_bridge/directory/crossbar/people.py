"""The people of an account, from crossbar's lists of users, devices, groups and callflows.

The lists leave some of the documents out: a callflow belongs to its owner here, since its list does not say
with which user it begins; a device that hot-desking lends belongs to its owner; and a user counts as enabled.
The members of a group are in its document alone. See ``cb_users``, ``cb_devices``, ``cb_groups`` and
``cb_callflows`` of ``applications/crossbar`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.directory.crossbar.answers import read_document, read_rows
from kazoo_bridge.directory.crossbar.api_session import ApiSession
from kazoo_bridge.directory.member_documents import (
    MAX_DOCUMENTS,
    PeopleBuilder,
    is_member_id,
    parse_device,
    parse_group,
    parse_user,
    to_public,
)
from kazoo_bridge.directory.people_cache import PeopleCache
from kazoo_bridge.interfaces import DEVICE, GROUP, UNKNOWN_PEOPLE, USER, Account, People

#: Rows of a page, and groups of an account whose members are read.
PAGE_SIZE, MAX_GROUPS = 500, 200

_KINDS = frozenset({USER, DEVICE, GROUP})


class CrossbarPeople:
    """Reads people with the API key. `account_of` fires with an account, or None if crossbar shows none."""

    def __init__(
        self,
        clock: IReactorTime,
        session: ApiSession,
        usable: float,
        account_of: Callable[[str], Deferred[Account | None]],
    ) -> None:
        """Read nothing yet. `usable`: seconds for which people count while crossbar does not answer."""
        self._session = session
        self._account_of = account_of
        self.cache = PeopleCache(clock, self._read, usable=usable)

    async def document(self, account_id: str, kind: str, member_id: str) -> Mapping[str, Any] | None:
        """Return a member's document as crossbar shows it, without secrets; None if there is none.

        Raises `StorageUnavailable`.
        """
        if kind not in _KINDS or not is_member_id(member_id):
            return None
        answer = await self._session.get(f"/accounts/{account_id}/{kind}s/{member_id}")
        document = read_document(answer, member_id)
        return None if document is None else to_public(document, member_id)

    async def _read(self, account_id: str) -> People:
        account = await self._account_of(account_id)
        if account is None:
            return UNKNOWN_PEOPLE
        builder = PeopleBuilder()
        for row in await self._rows(account_id, "users", builder):
            builder.add(parse_user(row, row["id"]))
        for row in await self._rows(account_id, "devices", builder):
            builder.add(parse_device(row, row["id"], account.realm))
        for row in await self._rows(account_id, "callflows", builder):
            builder.add_callflow(row)
        groups = await self._rows(account_id, "groups", builder)
        builder.is_complete = builder.is_complete and len(groups) <= MAX_GROUPS
        for row in groups[:MAX_GROUPS]:
            document = await self.document(account_id, GROUP, row["id"])
            if document is not None:
                builder.add(parse_group({**document, "features": row.get("features")}, row["id"]))
        return builder.build()

    async def _rows(self, account_id: str, kind: str, builder: PeopleBuilder) -> list[Mapping[str, Any]]:
        """Return the rows of a list, up to `MAX_DOCUMENTS`."""
        base = f"/accounts/{account_id}/{kind}?page_size={PAGE_SIZE}"
        found: list[Mapping[str, Any]] = []
        path = base
        for _ in range(MAX_DOCUMENTS // PAGE_SIZE):
            rows, following = read_rows(await self._session.get(path))
            found += (row for row in rows if is_member_id(row.get("id")))
            if following is None:
                return found
            path = f"{base}&start_key={quote(following, safe='')}"
        builder.is_complete = False
        return found
