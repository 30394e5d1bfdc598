"""The owners of telephone numbers, read from CouchDB when an event names a number."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.couchdb.names import number_database
from kazoo_bridge.directory.couchdb.cached_reader import CachedReader, Freshness
from kazoo_bridge.kazoo import is_account_id, is_true
from kazoo_bridge.token_bucket import TokenBucket

#: States of a number that belongs to its account; see ``core/kazoo_numbers/src/knm_numbers.erl`` in
#: ``2600hz/kazoo``.
_STATES_IN_SERVICE = frozenset({"port_in", "in_service", "port_out", "reserved"})

#: Digits of a number. Shorter ones are extensions and service numbers, which have no owner there.
MIN_DIGITS, MAX_DIGITS = 7, 15

#: For how many seconds an owner is not asked for again, and is known while CouchDB is away. Messages of KAZOO
#: say when a number changes hands.
FRESHNESS = Freshness(new=300, usable=86_400)

#: Numbers that are kept, with and without an owner.
_MAX_KEPT = 100_000

#: Reads of unknown numbers, and of known ones again: at once, and seconds until one more.
_READS = 1000, 0.01

_NO_OWNER = ""


class CouchNumbers:
    """Owners by the digits of a number in E.164, as `kazoo_bridge.kazoo.normalize_number` returns it."""

    def __init__(self, clock: IReactorTime, client: CouchClient) -> None:
        self._client = client
        self._owners: CachedReader[str] = CachedReader(
            clock,
            self._read_owner,
            FRESHNESS,
            on_changed=lambda _: None,
            unknown=TokenBucket(*_READS),
            again=TokenBucket(*_READS),
            limit=_MAX_KEPT,
        )

    def owner(self, number: str) -> str | None:
        """Return the id of the account that owns a number, from memory."""
        return self._owners.known(number) or None

    def look_up(self, number: str) -> Deferred[str | None] | None:
        """Read the owner; None if it is known, or known not to exist, or cannot be a number of KAZOO's.

        The Deferred may fail with `StorageUnavailable`.
        """
        if not MIN_DIGITS <= len(number) <= MAX_DIGITS or not (number.isascii() and number.isdigit()):
            return None
        return None if self._owners.peek(number) is not None else self._owners.get(number)

    def document_changed(self, database: object, document_id: object) -> None:
        """Follow a message that says that a document has changed."""
        if isinstance(database, str) and isinstance(document_id, str) and database.startswith("numbers"):
            self._owners.mark_changed(document_id.removeprefix("+"))

    async def _read_owner(self, number: str) -> str:
        document = await self._client.find(number_database(f"+{number}"), f"+{number}")
        if document is None or is_true(document.get("pvt_deleted")):
            return _NO_OWNER
        owner = document.get("pvt_assigned_to")
        in_service = document.get("pvt_state") in _STATES_IN_SERVICE
        return str(owner) if in_service and is_account_id(owner) else _NO_OWNER
