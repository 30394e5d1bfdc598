"""Checks the rights of sessions, many or few, at a bounded cost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.websockets.sessions.authorization import RightsCheck
from kazoo_bridge.websockets.sessions.session import Session

_log = Logger()

#: Sessions that are checked without a pause for other work.
MAX_AT_ONCE = 100

#: Answers for which the directory must read its source, of one check; what is left comes with the next one.
MAX_LOOKUPS = 100

#: The same, for sessions whose tokens are in doubt, which come before the others beyond `MAX_LOOKUPS`.
MAX_DOUBTFUL_LOOKUPS = 200


@define(eq=False)
class RightsSweep:
    """Checks sessions one after another, in the order in which they began to wait.

    When a check has used up its answers, it looks through the rest for tokens that are in doubt: a secret
    that KAZOO has just called changed does not wait until thousands of others have been read again.

    `begin_check` returns a check that has asked nothing yet, `check_session` ends what the session may not do
    any more. Distinct tokens cost, not sessions; and tokens that the directory does not remember cost a
    bounded number of queries.
    """

    _clock: IReactorTime
    _begin_check: Callable[[], RightsCheck]
    _check_session: Callable[[Session, RightsCheck], Awaitable[None]]
    _waiting: OrderedDict[Session, None] = field(init=False, factory=OrderedDict)
    #: Sessions that the present check has left to the next one.
    _postponed: OrderedDict[Session, None] = field(init=False, factory=OrderedDict)
    _check: RightsCheck | None = field(init=False, default=None)
    _running: bool = field(init=False, default=False)
    _continuation: IDelayedCall | None = field(init=False, default=None)

    def check(self, sessions: Iterable[Session]) -> None:
        """Check these sessions, now or after the sessions that wait already."""
        # What an earlier check has learned may be no longer true.
        self._check = self._begin_check()
        self._waiting = self._postponed | self._waiting | dict.fromkeys(sessions)
        self._postponed = OrderedDict()
        self._run()

    def stop(self) -> None:
        """Leave no delayed call."""
        self._waiting.clear()
        self._postponed.clear()
        self._cancel()

    def _run(self) -> None:
        self._cancel()
        if not self._running:
            Deferred.fromCoroutine(self._check_waiting()).addErrback(_log_failure)

    async def _check_waiting(self) -> None:
        self._running = True
        try:
            for _ in range(MAX_AT_ONCE):
                check = self._check
                if not self._waiting or check is None or check.lookups >= MAX_DOUBTFUL_LOOKUPS:
                    return
                session, _ = self._waiting.popitem(last=False)
                if session.ended:
                    continue
                if check.lookups >= MAX_LOOKUPS and not check.is_in_doubt(session):
                    self._postponed[session] = None
                else:
                    await self._check_session(session, check)
        finally:
            self._running = False
        if self._waiting:
            self._continuation = self._clock.callLater(0, self._continue)

    def _continue(self) -> None:
        self._continuation = None
        self._run()

    def _cancel(self) -> None:
        if self._continuation is not None:
            self._continuation.cancel()
            self._continuation = None


def _log_failure(failure: Failure) -> None:
    _log.failure("checking the rights of sessions failed", failure)
