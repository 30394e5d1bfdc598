"""The owners of numbers in CouchDB: asked for once, kept, and forgotten when KAZOO says that they changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.couchdb.names import SYSTEM_CONFIG, number_database
from kazoo_bridge.directory.couchdb.cached_reader import PatientRead
from kazoo_bridge.directory.dialling import Dialling
from kazoo_bridge.directory.shared_reads import SharedReads
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.kazoo import is_account_id, is_true
from kazoo_bridge.kazoo.number_converters import NumberConverters

_log = Logger()

#: Numbers that are kept, most of which have no owner here: any carrier's call brings some.
MAX_NUMBERS = 200_000

#: Seconds after which a number with an owner, or without, is asked for again; messages do that sooner.
KNOWN_TTL, UNKNOWN_TTL = 3600.0, 600.0

#: Seconds after a failure for which CouchDB is not asked, and numbers that are asked for at the same time.
_PAUSE, MAX_READING = 3.0, 500

#: The documents of ``system_config`` with the converters, and with ``assume_inbound_e164``.
CONVERTERS, STEPSWITCH = "number_manager", "stepswitch"

#: States in which calls to a number belong to its account; ``knm_number:check_number`` in ``2600hz/kazoo``.
_STATES_IN_USE = frozenset({"in_service", "port_in", "port_out", "reserved"})


@frozen
class _Known:
    owner: str | None
    read_at: float
    #: How often messages had been missed.
    missed: int

    @property
    def ttl(self) -> float:
        return UNKNOWN_TTL if self.owner is None else KNOWN_TTL


class CouchNumbers:
    """Owners by number, in memory; `look_up` asks. Dialled numbers are converted by KAZOO's converters.

    `usable`: seconds for which an owner counts while CouchDB does not answer.
    """

    def __init__(self, clock: IReactorTime, client: CouchClient, usable: float, dialling: Dialling) -> None:
        self._clock = clock
        self._client = client
        self._usable = usable
        self._dialling = dialling
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._reading: SharedReads[None] = SharedReads()
        #: Numbers that have changed since a request of now began, and how often changes may have been missed.
        self._changed: set[str] = set()
        self._missed = 0
        #: How often the converters may have changed, and which of these they were read after.
        self._converters_version = 1
        self._converters_read = 0
        self._reading_converters: SharedReads[None] = SharedReads()
        self._paused_until = float("-inf")

    def owner(self, number: str) -> str | None:
        """Return the owner of a dialled number from memory.

        An owner that is to be read again counts only while CouchDB does not answer.
        """
        known = self._usable_owner(number)
        if known is None or (not self._is_new(known) and self._clock.seconds() >= self._paused_until):
            return None
        return known.owner

    def look_up(self, number: str) -> Deferred[None] | None:
        """Ask for the owner of a dialled number; None if memory's answer is final for now.

        Callers that ask for the same number share one request. Fires after `KNOWN_WAIT` at the latest if an
        owner is known. Fails with `StorageUnavailable`.
        """
        now, e164 = self._clock.seconds(), self._e164(number)
        known = None if e164 is None else self._known.get(e164)
        if self._are_converters_known():
            if e164 is None:
                return None
            if known is not None and self._is_new(known):
                return None
        key = e164 or number
        if key not in self._reading:
            if now < self._paused_until:
                if known is not None:
                    return None
                return fail(StorageUnavailable(f"{self._client.label} has not answered just now"))
            if len(self._reading) >= MAX_READING:
                return fail(StorageUnavailable("too many unknown numbers are asked for"))
        waiter = self._reading.join(key, lambda: self._read(number))
        if self._usable_owner(number) is not None:
            # Events go on with the known owner if the newer one takes long to read.
            return PatientRead(self._clock, waiter, None, self._begin_pause).answer
        return waiter

    def document_changed(self, database: object, document_id: object) -> None:
        """Follow a message that says that a document has changed."""
        if not isinstance(database, str) or not isinstance(document_id, str):
            return
        if database == SYSTEM_CONFIG and document_id in (CONVERTERS, STEPSWITCH):
            self._converters_version += 1
        elif database.startswith(("numbers/", "numbers%2F", "numbers%2f")):
            self._known.pop(document_id, None)
            if self._reading:
                self._changed.add(document_id)

    def mark_all_old(self) -> None:
        """Ask for everything again, because messages about changes may have been missed.

        While CouchDB does not answer, the known owners count.
        """
        self._missed += 1
        self._converters_version += 1

    def _usable_owner(self, number: str) -> _Known | None:
        e164 = self._e164(number)
        known = None if e164 is None else self._known.get(e164)
        if known is None or known.owner is None:
            return None
        return known if self._clock.seconds() - known.read_at < KNOWN_TTL + self._usable else None

    def _is_new(self, known: _Known) -> bool:
        return known.missed == self._missed and self._clock.seconds() - known.read_at < known.ttl

    def _begin_pause(self) -> None:
        self._paused_until = self._clock.seconds() + _PAUSE

    def _e164(self, number: str) -> str | None:
        if self._dialling.converters is None and not number.startswith("+"):
            return None
        return self._dialling.to_e164(number)

    def _are_converters_known(self) -> bool:
        return self._converters_read == self._converters_version

    async def _read(self, number: str) -> None:
        try:
            await self._read_to_known(number)
        finally:
            # With the last read under way.
            if len(self._reading) == 1:
                self._changed.clear()

    async def _read_to_known(self, number: str) -> None:
        e164 = self._e164(number)
        try:
            while not self._are_converters_known():
                await self._reading_converters.join(CONVERTERS, self._read_converters)
            e164 = self._e164(number)
            if e164 is None:
                return
            owner = await self._read_owner(e164)
        except StorageUnavailable:
            self._begin_pause()
            if e164 in self._known:
                return
            raise
        self._known[e164] = _Known(owner, self._clock.seconds(), self._missed)
        self._known.move_to_end(e164)
        while len(self._known) > MAX_NUMBERS:
            self._known.popitem(last=False)

    async def _read_owner(self, e164: str) -> str | None:
        while True:
            self._changed.discard(e164)
            missed = self._missed
            document = await self._client.find(number_database(e164), e164)
            # What has changed meanwhile may have been read before the change.
            if e164 not in self._changed and missed == self._missed:
                return None if document is None else owner_of(document)

    async def _read_converters(self) -> None:
        version = self._converters_version
        manager = await self._client.find(SYSTEM_CONFIG, CONVERTERS)
        stepswitch = await self._client.find(SYSTEM_CONFIG, STEPSWITCH)
        # What has changed meanwhile may have been read before the change, and is read again.
        self._converters_read = version
        assume = is_true(_default(stepswitch).get("assume_inbound_e164"))
        converters = NumberConverters.parse(_default(manager).get("e164_converters"), assume_e164=assume)
        if converters != self._dialling.converters:
            for problem in converters.problems:
                _log.warn(
                    "converter of KAZOO not used document=system_config/number_manager reason={reason}",
                    reason=problem,
                )
            self._dialling.converters = converters


def owner_of(document: Mapping[str, Any]) -> str | None:
    """Return the account that calls to a number belong to, from its document; None: no account."""
    owner = document.get("pvt_assigned_to")
    if is_true(document.get("pvt_deleted")) or document.get("pvt_state") not in _STATES_IN_USE:
        return None
    return str(owner) if is_account_id(owner) else None


def _default(document: Mapping[str, Any] | None) -> Mapping[str, Any]:
    section = (document or {}).get("default")
    return section if isinstance(section, dict) else {}
