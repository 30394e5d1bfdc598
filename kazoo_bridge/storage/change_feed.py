"""Notifies the node of what other processes, such as the command line, have written to its database."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database

#: The kind that means: changes were missed, load everything again. Its subjects are empty.
ALL = "*"

#: Seconds between two reads of the change log.
POLL_INTERVAL = 0.4

#: Unprocessed subjects of one subscriber; with more it receives `ALL` instead.
MAX_OUTSTANDING = 10_000

#: Called with a kind (``hook``, ``account``, ``number``, ``token``, ``api_key`` or `ALL`) and the subjects
#: that changed; may return a Deferred. After a failure it is called again with the next poll, with newer
#: changes added: it must be idempotent.
Subscriber = Callable[[str, frozenset[str]], Deferred[None] | None]


@define
class _FeedSubscription:
    """A subscriber, and the subjects (by kind) that it has not processed yet."""

    subscriber: Subscriber
    subjects: dict[str, set[str]] = field(factory=dict)
    failing: bool = False

    def add(self, batch: change_log.ChangeBatch) -> None:
        for kind, subject in batch.changes:
            self.subjects.setdefault(kind, set()).add(subject)
        if batch.behind or ALL in self.subjects or sum(map(len, self.subjects.values())) > MAX_OUTSTANDING:
            self.subjects = {ALL: set()}


class ChangeFeed(TimerService):
    """Polls the change log and calls its subscribers with what is new.

    Call `mark`, then load from the stores, then start the service: no change is missed in between. A feed
    that is started without a mark begins with `ALL`. Stopping waits for the poll in progress.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, database: Database, interval: float = POLL_INTERVAL) -> None:
        """Poll nothing yet. `interval` is in seconds."""
        super().__init__(interval, lambda: Deferred.fromCoroutine(self.look()))
        self.clock = clock
        self._polling = DeferredLock()
        self._looking: list[Deferred[None]] = []
        self._database = database
        self._position: int | None = None
        self._subscriptions: list[_FeedSubscription] = []
        self._unavailable = False

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` for every change that is read from now on."""
        self._subscriptions.append(_FeedSubscription(subscriber))

    async def mark(self) -> int:
        """Start after the latest change, and return its number. Raises `StorageUnavailable`."""
        self._position = await self._database.read(change_log.position)
        return self._position

    async def look(self) -> None:
        """Read what is new, and return when the subscribers have processed it, or have failed to.

        Callers during a poll share the next one. Does nothing while the service does not run.
        """
        if not self.running:
            return
        looking: Deferred[None] = Deferred()
        self._looking.append(looking)
        if len(self._looking) == 1:
            polling = self._polling.run(lambda: Deferred.fromCoroutine(self._poll_for_all()))
            polling.addErrback(lambda failure: self.log.failure("change feed failed", failure))
        await looking

    async def _poll_for_all(self) -> None:
        looking, self._looking = self._looking, []
        try:
            await self._poll()
        finally:
            for one in looking:
                one.callback(None)

    async def _poll(self) -> None:
        batch = await self._read()
        for subscription in self._subscriptions:
            if batch is not None:
                subscription.add(batch)
            await self._notify(subscription)

    async def _read(self) -> change_log.ChangeBatch | None:
        seen = self._position
        try:
            if seen is None:
                batch = change_log.ChangeBatch(await self._database.read(change_log.position), behind=True)
            else:
                batch = await self._database.read(lambda connection: change_log.since(connection, seen))
        except Exception as error:
            self._read_failed(error)
            return None
        if self._unavailable:
            self._unavailable = False
            self.log.info("change feed resumed position={position}", position=batch.position)
        self._position = batch.position
        return batch

    def _read_failed(self, error: Exception) -> None:
        if self._unavailable:
            return
        self._unavailable = True
        if isinstance(error, StorageUnavailable):
            self.log.warn(
                "change feed interrupted, changes by other processes are delayed reason={reason}",
                reason=str(error),
            )
        else:
            self.log.failure("change feed interrupted, changes by other processes are delayed")

    async def _notify(self, subscription: _FeedSubscription) -> None:
        for kind in list(subscription.subjects):
            try:
                await maybeDeferred(subscription.subscriber, kind, frozenset(subscription.subjects[kind]))
            except Exception as error:
                self._notify_failed(subscription, kind, error)
            else:
                # Polls do not overlap and only they add subjects, so none has been added meanwhile.
                del subscription.subjects[kind]
        if not subscription.subjects:
            subscription.failing = False

    def _notify_failed(self, subscription: _FeedSubscription, kind: str, error: Exception) -> None:
        if subscription.failing:
            return
        subscription.failing = True
        if isinstance(error, StorageUnavailable):
            self.log.warn(
                "change not applied, will be retried kind={kind} reason={reason}",
                kind=kind,
                reason=str(error),
            )
        else:
            self.log.failure("change not applied, will be retried kind={kind}", kind=kind)
