"""Whether crossbar answers, as the latest requests show."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import StorageUnavailable

_log = Logger()

#: Seconds after a failure in which what is known is not asked for again.
PAUSE_AFTER_FAILURE = 5.0


class CrossbarAway(StorageUnavailable):
    """Crossbar, or the way to it, does not answer at all, unlike an answer that is an error."""


@define(eq=False)
class Availability:
    """Notes the outcomes of requests. `reason` says why crossbar does not answer; None while it does."""

    _clock: IReactorTime
    reason: str | None = None
    has_answered: bool = False
    _failed: float = field(init=False, default=0.0)

    def failed(self, reason: str) -> None:
        """Note that crossbar has not answered."""
        if self.reason is None:
            _log.error("crossbar does not answer reason={reason}", reason=reason)
        self.reason, self._failed = reason, self._clock.seconds()

    def answered(self) -> None:
        """Note an answer, be it an error."""
        if self.reason is not None:
            _log.info("crossbar answers again")
        self.reason, self.has_answered = None, True

    @property
    def pauses(self) -> bool:
        """Whether crossbar has failed just now, so that what is known is taken from memory."""
        return self.reason is not None and self._clock.seconds() < self._failed + PAUSE_AFTER_FAILURE
