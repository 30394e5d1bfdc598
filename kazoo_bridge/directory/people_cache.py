"""People of accounts in memory: read when they are asked for, and again when KAZOO says that they changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from attrs import define
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.directory.shared_reads import SharedReads
from kazoo_bridge.interfaces import People, StorageUnavailable, Topic
from kazoo_bridge.kazoo import account_from_db

_log = Logger()

#: Accounts, and members of all accounts together, that are kept; those asked for longest ago go first.
MAX_ACCOUNTS, MAX_MEMBERS = 10_000, 100_000

#: Accounts that are read at the same time; more get `StorageUnavailable`.
MAX_READING = 50

#: Seconds after which people are read again although no message has said that they changed.
KNOWN_TTL = 300.0

#: Seconds between two reads of one account, however many of its documents change meanwhile.
MIN_READ_INTERVAL = 1.0

#: Seconds after a failed read for which known people are not read again.
_PAUSE = 3.0


#: The messages of KAZOO about documents of which people are made, ``ACTION.DATABASE.TYPE.ID``.
PEOPLE_TOPICS = frozenset(
    Topic("configuration", f"{action}.*.{kind}.*")
    for action in ("doc_created", "doc_edited", "doc_deleted")
    for kind in ("user", "device", "group", "callflow")
)


@define(eq=False)
class _KnownPeople:
    people: People
    read_at: float
    weight: int
    changed: bool = False


class PeopleCache:
    """People by account. Each account is read at most once at the same time.

    While the source does not answer, what is known serves on for `usable` seconds after it was read.
    """

    def __init__(
        self, clock: IReactorTime, read: Callable[[str], Awaitable[People]], *, usable: float
    ) -> None:
        """Read nothing yet. `read` returns the people of an account, and may raise `StorageUnavailable`."""
        self._clock = clock
        self._read = read
        self._usable = usable
        self._known: OrderedDict[str, _KnownPeople] = OrderedDict()
        self._reading: SharedReads[People] = SharedReads()
        #: Accounts that have changed since their read began.
        self._changed: set[str] = set()
        self._weight = 0
        self._paused_until = float("-inf")

    def get(self, account_id: str) -> Deferred[People]:
        """Fire with the people of an account. Fails with `StorageUnavailable` if they cannot be known."""
        now, known = self._clock.seconds(), self._known.get(account_id)
        if known is not None:
            self._known.move_to_end(account_id)
            if self._is_new(known, now) or (now < self._paused_until and self._is_usable(known, now)):
                return succeed(known.people)
        if account_id not in self._reading and len(self._reading) >= MAX_READING:
            return fail(StorageUnavailable("the people of too many accounts are read just now"))
        return self._reading.join(account_id, lambda: self._read_now(account_id))

    def document_changed(self, database: object) -> None:
        """Follow a message of KAZOO that says that a document has changed in this database."""
        account_id = account_from_db(database)
        if account_id is not None:
            self.account_changed(account_id)

    def account_changed(self, account_id: str) -> None:
        """Read the people of an account again when they are asked for next."""
        if account_id in self._reading:
            self._changed.add(account_id)
        known = self._known.get(account_id)
        if known is not None:
            known.changed = True

    def mark_all_changed(self) -> None:
        """Read all people again, because messages about changes may have been missed."""
        for account_id in (*self._known, *self._reading):
            self.account_changed(account_id)

    def _is_new(self, known: _KnownPeople, now: float) -> bool:
        return now - known.read_at < (MIN_READ_INTERVAL if known.changed else KNOWN_TTL)

    def _is_usable(self, known: _KnownPeople, now: float) -> bool:
        return now - known.read_at < KNOWN_TTL + self._usable

    async def _read_now(self, account_id: str) -> People:
        self._changed.discard(account_id)
        started_at = self._clock.seconds()
        try:
            people = await self._read(account_id)
        except StorageUnavailable:
            self._paused_until = self._clock.seconds() + _PAUSE
            known = self._known.get(account_id)
            if known is None or not self._is_usable(known, self._clock.seconds()):
                raise
            return known.people
        else:
            self._keep(account_id, people, started_at)
            return people
        finally:
            self._changed.discard(account_id)

    def _keep(self, account_id: str, people: People, started_at: float) -> None:
        if not people.is_complete:
            _log.warn("account has more people than are read account_id={account_id}", account_id=account_id)
        before = self._known.pop(account_id, None)
        known = _KnownPeople(people, started_at, _weight(people), account_id in self._changed)
        self._known[account_id] = known
        self._weight += known.weight - (0 if before is None else before.weight)
        while len(self._known) > 1 and (len(self._known) > MAX_ACCOUNTS or self._weight > MAX_MEMBERS):
            _, dropped = self._known.popitem(last=False)
            self._weight -= dropped.weight


def _weight(people: People) -> int:
    members = sum(len(group.members) for group in people.groups.values())
    return 1 + len(people.users) + len(people.devices) + len(people.groups) + members
