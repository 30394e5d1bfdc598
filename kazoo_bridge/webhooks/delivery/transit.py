"""A delivery on its way from the bus to its receiver, or to the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, field
from twisted.python.failure import Failure

from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptInFlight, AttemptResult


class TransitOwner(Protocol):
    """What begins deliveries."""

    def on_attempted(self, transit: Transit, result: AttemptResult) -> None:
        """Finish a delivery, or store it, after its first attempt."""


@define(eq=False)
class Transit(AttemptInFlight):
    """A delivery between the bus and its receiver or the store; a `Completion`, and its own first attempt.

    `probing`: it is attempted although its receiver is known to fail, because nothing can be stored.
    """

    owner: TransitOwner = field(kw_only=True)
    probing: bool = False
    _done: Callable[[Failure | None], None] | None = None
    _is_over: bool = False
    _failure: Failure | None = None

    def when_done(self, done: Callable[[Failure | None], None]) -> None:
        """See `Completion`."""
        if self._is_over:
            done(self._failure)
        else:
            self._done = done

    def finish(self, failure: Failure | None) -> None:
        """End the delivery. Called by its owner, once."""
        self._is_over = True
        if self._done is None:
            self._failure = failure
        else:
            self._done(failure)

    def on_result(self, result: AttemptResult) -> None:
        """Go on with the result of the attempt."""
        self.owner.on_attempted(self, result)
