"""The people of an account, from the documents of its database.

The views are KAZOO's own: ``users/crossbar_listing``, ``devices/crossbar_listing``,
``groups/crossbar_listing`` and ``callflows/crossbar_listing``, the lists of ``cb_users`` and the like in
``applications/crossbar`` of ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.couchdb.client import CouchClient, DatabaseMissing, Row
from kazoo_bridge.couchdb.names import account_database
from kazoo_bridge.directory.member_documents import (
    MAX_DOCUMENTS,
    PeopleBuilder,
    is_member_id,
    is_of_type,
    parse_device,
    parse_group,
    parse_user,
    to_public,
)
from kazoo_bridge.directory.people_cache import PeopleCache
from kazoo_bridge.interfaces import DEVICE, GROUP, USER, People

#: A callflow's document is larger than others, and so is its page.
_PAGE_SIZE, _CALLFLOW_PAGE_SIZE = 500, 200

_CALLFLOW = "callflow"


class CouchPeople:
    """Reads people. `realm_of` returns the realm of an account."""

    def __init__(
        self,
        clock: IReactorTime,
        client: CouchClient,
        usable: float,
        realm_of: Callable[[str], str | None],
    ) -> None:
        """Read nothing yet. `usable`: seconds for which people count while CouchDB does not answer."""
        self._client = client
        self._realm_of = realm_of
        self.cache = PeopleCache(clock, self._read, usable=usable)

    async def document(self, account_id: str, kind: str, member_id: str) -> Mapping[str, Any] | None:
        """Return a member's document as KAZOO shows it, without secrets; None if there is none.

        Raises `StorageUnavailable`.
        """
        if kind not in (USER, DEVICE, GROUP) or not is_member_id(member_id):
            return None
        document = await self._client.find(account_database(account_id), member_id)
        if document is None or not is_of_type(document, kind):
            return None
        return to_public(document, member_id)

    async def _read(self, account_id: str) -> People:
        realm, builder = self._realm_of(account_id), PeopleBuilder()
        async for row, document in self._documents(account_id, USER, builder):
            # The view works out the features from the document.
            builder.add(parse_user(document | {"features": _features(row)}, row.id))
        async for row, document in self._documents(account_id, DEVICE, builder):
            builder.add(parse_device(document, row.id, realm))
        async for row, document in self._documents(account_id, GROUP, builder):
            builder.add(parse_group(document | {"features": _features(row)}, row.id))
        async for _, document in self._documents(account_id, _CALLFLOW, builder):
            builder.add_callflow(document)
        return builder.build()

    async def _documents(
        self, account_id: str, kind: str, builder: PeopleBuilder
    ) -> AsyncIterator[tuple[Row, dict[str, Any]]]:
        """Yield the documents of a kind; an account without the view has none."""
        page_size = _CALLFLOW_PAGE_SIZE if kind == _CALLFLOW else _PAGE_SIZE
        count = 0
        pages = self._client.pages(
            account_database(account_id), f"{kind}s/crossbar_listing", page_size=page_size
        )
        try:
            async with aclosing(pages):
                async for rows in pages:
                    for row in rows:
                        if row.doc is not None and is_of_type(row.doc, kind) and is_member_id(row.id):
                            yield row, row.doc
                    count += len(rows)
                    if count >= MAX_DOCUMENTS:
                        builder.is_complete = False
                        return
        except DatabaseMissing:
            return


def _features(row: Row) -> Any:
    return row.value.get("features") if isinstance(row.value, dict) else None
