"""Tells the service what other processes, such as the command line, have written to its database."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database

#: The kind that means: changes were missed, load everything again. Its subjects are empty.
ALL = "*"

#: Unfinished subjects of one subscriber, beyond which it is told to load everything instead.
MAX_OUTSTANDING = 10_000

#: Called with a kind (``hook``, ``account``, ``token``, ``api_key`` or `ALL`) and what changed; may return a Deferred.
#: When it fails it is called again later, with whatever has changed meanwhile added; so it must not mind repetition.
Subscriber = Callable[[str, frozenset[str]], Deferred[None] | None]


@define
class _Outstanding:
    """A subscriber and what it has yet to be told."""

    subscriber: Subscriber
    subjects: dict[str, set[str]] = field(factory=dict)
    failing: bool = False

    def add(self, look: change_log.ChangeBatch) -> None:
        for kind, subject in look.changes:
            self.subjects.setdefault(kind, set()).add(subject)
        if look.behind or ALL in self.subjects or sum(map(len, self.subjects.values())) > MAX_OUTSTANDING:
            self.subjects = {ALL: set()}


class ChangeFeed(Service):
    """Looks every `interval` seconds for new changes, from the position that `mark` has read.

    Call `mark` before anything is loaded from the stores, load, then start the service: nothing falls in between.
    Started without it, the first thing subscribers hear is `ALL`.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, database: Database, interval: float = 0.4) -> None:
        self._database = database
        self._interval = interval
        self._position: int | None = None
        self._subscribers: list[_Outstanding] = []
        self._down = False
        self._loop = LoopingCall(self._poll)
        self._loop.clock = clock
        self._looping: Deferred[None] = succeed(None)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell `subscriber` of every change from now on."""
        self._subscribers.append(_Outstanding(subscriber))

    async def mark(self) -> int:
        """Remember the latest change as the one to start from; returns its number. Raises `StorageUnavailable`."""
        self._position = await self._database.read(change_log.position)
        return self._position

    def startService(self) -> None:
        """Begin to look."""
        super().startService()
        self._looping = self._loop.start(self._interval, now=True).addCallback(lambda _: None)
        self._looping.addErrback(lambda failure: self.log.failure("the change feed has stopped", failure))

    def stopService(self) -> Deferred[None]:
        """Look no more; fires when the look under way is over."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._looping

    def _poll(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._poll_once())

    async def _poll_once(self) -> None:
        look = await self._read()
        for outstanding in self._subscribers:
            if look is not None:
                outstanding.add(look)
            await self._notify(outstanding)

    async def _read(self) -> change_log.ChangeBatch | None:
        seen = self._position
        try:
            if seen is None:
                look = change_log.ChangeBatch(await self._database.read(change_log.position), behind=True)
            else:
                look = await self._database.read(lambda connection: change_log.since(connection, seen))
        except Exception as error:
            self._read_failed(error)
            return None
        if self._down:
            self._down = False
            self.log.info("changes made by other processes are noticed again")
        self._position = look.position
        return look

    def _read_failed(self, error: Exception) -> None:
        if self._down:
            return
        self._down = True
        if isinstance(error, StorageUnavailable):
            self.log.warn("changes made by other processes go unnoticed for now: {reason}", reason=str(error))
        else:
            self.log.failure("changes made by other processes go unnoticed for now")

    async def _notify(self, outstanding: _Outstanding) -> None:
        for kind in list(outstanding.subjects):
            try:
                await maybeDeferred(outstanding.subscriber, kind, frozenset(outstanding.subjects[kind]))
            except Exception as error:
                self._notify_failed(outstanding, kind, error)
            else:
                # Only this look adds to them, so nothing has come in meanwhile.
                del outstanding.subjects[kind]
        if not outstanding.subjects:
            outstanding.failing = False

    def _notify_failed(self, outstanding: _Outstanding, kind: str, error: Exception) -> None:
        if outstanding.failing:
            return
        outstanding.failing = True
        if isinstance(error, StorageUnavailable):
            self.log.warn(
                "a change of kind {kind} cannot be followed yet: {reason}", kind=kind, reason=str(error)
            )
        else:
            self.log.failure("a change of kind {kind} cannot be followed; trying again", kind=kind)
