"""Asks the directory for the owners of called numbers, for events that name no account, within bounds.

An event waits while the broker holds it. When the directory cannot be asked, the event comes again for a
while; then it reaches no hook, as most called numbers have no owner here, and other events must not wait.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import IDirectory, StorageUnavailable
from kazoo_bridge.log_throttle import LogThrottle

_log = Logger()

#: Seconds for which an event waits for the owner of its number.
OWNER_TIMEOUT = 5.0

#: Seconds after the first failure for which an event comes again. Directories pause for seconds after one.
OWNER_PATIENCE = 30.0

#: Events that wait at the same time. With the requests in flight and the deliveries that wait for slots they
#: must be fewer than the events that the broker delivers at once (`amqp.prefetch`), or a directory that hangs
#: would block other events.
MAX_WAITING = 64

#: Seconds for which a first failure is remembered: by then the event has come for the last time.
_REMEMBERED = 2 * OWNER_PATIENCE

#: Events that are to come again. More reach no hook when the directory cannot be asked.
MAX_RETURNING = 10_000


@define(eq=False)
class OwnerLookup:
    """Waits for the owners of numbers, and remembers which events have waited before."""

    _clock: IReactorTime
    _directory: IDirectory
    _waiting: int = field(init=False, default=0)
    #: Event id -> when its owner could not be read first, the oldest first.
    _first_failures: OrderedDict[str, float] = field(init=False, factory=OrderedDict)
    _given_up: LogThrottle = field(init=False)
    #: Forgets what has come again elsewhere, or never: another node may have taken it.
    _forgetting: IDelayedCall | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._given_up = LogThrottle(self._clock, self._log_given_up)

    @property
    def given_up(self) -> int:
        """How many events reached no hook because the owner of their number could not be read."""
        return self._given_up.total

    @property
    def returning(self) -> int:
        """How many events are to come again."""
        return len(self._first_failures)

    def ask(self, number: str | None) -> Deferred[str] | None:
        """Ask for the owner of a number; None: what memory says is final.

        Fires with an empty text when memory knows the answer, else with the reason why it does not. It does
        not fail.
        """
        asking = None if number is None else self._directory.look_up_number(number)
        if asking is None:
            return None
        if self._waiting >= MAX_WAITING:
            # The answer is for the events that follow.
            asking.addErrback(lambda failure: _log.debug("no owner reason={reason}", reason=failure.value))
            return succeed(f"more than {MAX_WAITING} events wait for owners")
        self._waiting += 1
        waited: Deferred[Any] = asking.addTimeout(OWNER_TIMEOUT, self._clock)
        return waited.addBoth(self._answered)

    def may_return(self, event_id: str, problem: str) -> bool:
        """Whether an event whose owner cannot be read is to come again; if not, it is counted as given up."""
        now = self._clock.seconds()
        since = self._first_failures.get(event_id, now)
        self._forget_old()
        has_place = event_id in self._first_failures or len(self._first_failures) < MAX_RETURNING
        if now - since < OWNER_PATIENCE and has_place:
            # One that has come again keeps its place: the order is that of the first failures.
            self._first_failures[event_id] = since
            if self._forgetting is None:
                self._forgetting = self._clock.callLater(_REMEMBERED, self._on_forgetting)
            return True
        self.forget(event_id)
        self._given_up.count(problem)
        return False

    def forget(self, event_id: str) -> None:
        """Remember the failures of an event no longer: its owners are known, or it is given up."""
        self._first_failures.pop(event_id, None)

    def stop(self) -> None:
        """Log what has not been logged, and leave no delayed call."""
        self._given_up.stop()
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None

    def _answered(self, result: Any) -> str:
        self._waiting -= 1
        if not isinstance(result, Failure):
            return ""
        if result.check(TimeoutError):
            return f"no answer within {OWNER_TIMEOUT:g} s"
        if not result.check(StorageUnavailable):
            _log.failure("asking for the owner of a number failed", result)
        return result.getErrorMessage()

    def _on_forgetting(self) -> None:
        self._forgetting = None
        self._forget_old()
        if self._first_failures:
            oldest = next(iter(self._first_failures.values()))
            wait = max(0.0, oldest + _REMEMBERED - self._clock.seconds())
            self._forgetting = self._clock.callLater(wait, self._on_forgetting)

    def _forget_old(self) -> None:
        limit = self._clock.seconds() - _REMEMBERED
        while self._first_failures:
            event_id, since = next(iter(self._first_failures.items()))
            if since > limit:
                return
            del self._first_failures[event_id]

    def _log_given_up(self, count: int, latest: str) -> None:
        _log.warn(
            "events reach no hook, the owners of their numbers cannot be read count={count} latest={latest}",
            count=count,
            latest=latest,
        )
