"""Keeps the accounts in memory as CouchDB has them: reads all, then follows the changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from twisted.application.internet import backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.couchdb.changes import Change, ChangesFollower
from kazoo_bridge.couchdb.client import CouchClient, DatabaseMissing
from kazoo_bridge.couchdb.names import ACCOUNTS
from kazoo_bridge.directory.couchdb.account_records import (
    AccountIndex,
    AccountRecord,
    parse_all,
    parse_or_log,
)
from kazoo_bridge.directory.couchdb.user_logins import AccountNames
from kazoo_bridge.directory.shared_reads import SharedReads
from kazoo_bridge.directory.ttl_cache import TtlCache
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.token_bucket import TokenBucket

_log = Logger()

#: Seconds for which the ancestors of a deleted account are remembered, and how many accounts.
GONE_TTL, MAX_GONE = 60.0, 10_000

#: Seconds for which an account that does not exist is not asked for again.
UNKNOWN_TTL = 2.0

#: Reads of unknown accounts: at once, and seconds until one more.
_UNKNOWN_BURST, _UNKNOWN_INTERVAL = 200, 0.02

#: Pages that are read at the same time.
_READERS = 4

#: Seconds between two attempts to read all accounts: from the shortest to the longest.
_MIN_DELAY, _MAX_DELAY = 1.0, 30.0

#: Accounts whose names are collected without a pause.
NAMES_AT_ONCE = 500


class CouchAccounts(Service):
    """All accounts of KAZOO, in memory.

    `load` reads them; if CouchDB is away, the service reads them as soon as it is there. `on_rights_ended` is
    called with the id of each account that has been deleted, disabled or moved.
    """

    def __init__(
        self, clock: IReactorTime, client: CouchClient, on_rights_ended: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._client = client
        self._on_rights_ended = on_rights_ended
        self._index = AccountIndex()
        self._gone: TtlCache[tuple[str, ...]] = TtlCache(MAX_GONE)
        self._unknown: TtlCache[bool] = TtlCache(MAX_GONE)
        self._unknown_reads = TokenBucket(_UNKNOWN_BURST, _UNKNOWN_INTERVAL)
        self._fetching: SharedReads[AccountRecord | None] = SharedReads()
        self._follower = ChangesFollower(clock, client, ACCOUNTS, self._on_changes)
        self._names: AccountNames | None = None
        self._naming: Deferred[None] | None = None
        self._waiting_for_names: list[Deferred[None]] = []
        self._loading: Deferred[None] | None = None
        self._load_error = "the accounts have not been read yet"
        self.is_loaded = False

    def __len__(self) -> int:
        return len(self._index)

    # -- reading and following

    async def load(self) -> None:
        """Read all accounts. If CouchDB is away, the service tries again."""
        try:
            await self._load()
        except (StorageUnavailable, DatabaseMissing) as error:
            self._load_error = str(error)
            _log.error("accounts of CouchDB not read, trying again reason={reason}", reason=error)

    def startService(self) -> None:
        """Follow the changes; before that, read the accounts if they have not been read."""
        super().startService()
        if self.is_loaded:
            self._follower.startService()
        else:
            self._loading = Deferred.fromCoroutine(self._load_when_possible())
            self._loading.addErrback(_log_failure)

    def stopService(self) -> Deferred[None]:
        """Follow no more; fires when nothing is read any more."""
        super().stopService()
        for work in (self._loading, self._naming):
            if work is not None:
                work.cancel()
        stopping = [maybeDeferred(self._follower.stopService)] if self._follower.running else []
        return DeferredList(stopping, consumeErrors=True).addCallback(lambda _: None)

    def away_since(self) -> float | None:
        """Return the time since which CouchDB is away; None while it is followed."""
        if self._follower.connected:
            return None
        if not self._follower.running:
            return None if self.is_loaded else 0.0
        return self._follower.last_heard

    def problem(self) -> str | None:
        """Return why the accounts are not those of this moment; None if they are."""
        if not self.is_loaded:
            return self._load_error
        problem = self._follower.problem()
        return None if problem is None else f"what is known serves on, but {problem}"

    async def _load(self) -> None:
        self._follower.since = await self._client.update_sequence(ACCOUNTS)
        present: set[str] = set()
        beginnings = iter("0123456789abcdef")
        readers = [
            Deferred.fromCoroutine(self._load_beginnings(beginnings, present)) for _ in range(_READERS)
        ]
        results: list[Any] = await DeferredList(readers, consumeErrors=True)
        for succeeded, failure in results:
            if not succeeded:
                failure.raiseException()
        for account_id in self._index.ids() - present:
            self._remove(account_id)
        self.is_loaded = True
        _log.info("accounts of CouchDB read count={count}", count=len(self._index))

    async def _load_beginnings(self, beginnings: Iterator[str], present: set[str]) -> None:
        """Read the accounts whose ids begin with one of these, and add their ids to `present`."""
        for first in beginnings:
            pages = self._client.pages(ACCOUNTS, start_key=first, options={"endkey": f"{first}\ufff0"})
            async for page in pages:
                for record in parse_all(row.doc for row in page if row.doc is not None):
                    present.add(record.id)
                    self._put(record)

    async def _load_when_possible(self) -> None:
        delay, failures = backoffPolicy(_MIN_DELAY, _MAX_DELAY), 0
        while not self.is_loaded:
            await deferLater(self._clock, delay(min(failures, 100)))
            failures += 1
            try:
                await self._load()
            except (StorageUnavailable, DatabaseMissing) as error:
                self._load_error = str(error)
        self._follower.startService()

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            record = None if change.doc is None else parse_or_log(change.doc)
            if record is None:
                self._remove(change.id)
            else:
                self._put(record)

    def _put(self, record: AccountRecord) -> None:
        self._unknown.discard(record.id)
        before = self._index.find(record.id)
        if self._names is not None:
            if before is not None:
                self._names.remove(before)
            self._names.add(record)
        if self._index.put(record):
            self._on_rights_ended(record.id)

    def _remove(self, account_id: str) -> None:
        record = self._index.remove(account_id)
        if record is not None:
            if self._names is not None:
                self._names.remove(record)
            self._gone.put(account_id, record.ancestors, self._clock.seconds() + GONE_TTL)
            self._on_rights_ended(account_id)

    # -- answers

    def find(self, account_id: str) -> AccountRecord | None:
        """Return the account from memory, or None."""
        return self._index.find(account_id)

    def find_api_key(self, api_key: str) -> AccountRecord | None:
        """Return the account whose API key this is, or None."""
        return self._index.find_api_key(api_key)

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        """Return the ancestors of an account, also of one that has just been deleted; None: it is unknown."""
        record = self._index.find(account_id)
        return self._gone.get(account_id, self._clock.seconds()) if record is None else record.ancestors

    def descendants(self, account_id: str) -> frozenset[str]:
        """Return the ids of all accounts below this one."""
        return self._index.descendants(account_id)

    async def names(self) -> AccountNames:
        """Return the accounts by realm and name, which follow changes from the first call on.

        They are collected a few at a time, so that nothing else has to wait for many accounts.
        """
        names = self._names
        if names is None:
            names = self._names = AccountNames()
            self._naming = Deferred.fromCoroutine(self._collect_names(names))
            self._naming.addBoth(self._names_collected)
        if self._naming is not None:
            waiter: Deferred[None] = Deferred()
            self._waiting_for_names.append(waiter)
            await waiter
        return names

    async def _collect_names(self, names: AccountNames) -> None:
        # Accounts that are new or change meanwhile are added by `_put`.
        for number, account_id in enumerate(self._index.ids(), 1):
            record = self._index.find(account_id)
            if record is not None:
                names.add(record)
            if number % NAMES_AT_ONCE == 0:
                await deferLater(self._clock, 0)

    def _names_collected(self, result: Failure | None) -> None:
        self._naming = None
        if isinstance(result, Failure):
            self._names = None
            result = Failure(StorageUnavailable("the names of the accounts are not known"))
        waiting, self._waiting_for_names = self._waiting_for_names, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(result)

    async def fetch(self, account_id: str) -> AccountRecord | None:
        """Return the account, which may be so new that the changes have not brought it yet.

        Raises `StorageUnavailable`.
        """
        record, now = self._index.find(account_id), self._clock.seconds()
        if record is not None or self._unknown.get(account_id, now):
            return record
        if account_id not in self._fetching and not self._unknown_reads.take(now):
            raise StorageUnavailable("too many unknown accounts are asked for")
        return await self._fetching.join(account_id, lambda: self._fetch_now(account_id))

    async def _fetch_now(self, account_id: str) -> AccountRecord | None:
        document = await self._client.find(ACCOUNTS, account_id)
        record = None if document is None else parse_or_log(document)
        known = self._index.find(account_id)
        if known is not None:
            # A change has come meanwhile, and may be newer than what was read.
            return known
        if record is None or self._gone.get(account_id, self._clock.seconds()) is not None:
            self._unknown.put(account_id, True, self._clock.seconds() + UNKNOWN_TTL)
            return None
        self._put(record)
        return self._index.find(account_id)


def _log_failure(failure: Failure) -> None:
    if not failure.check(CancelledError):
        _log.failure("accounts of CouchDB not read", failure)
