"""One attempt at a delivery: its state until its outcome is known, and the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, field, frozen

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.delivery.hook_queues import HookQueue, Slot
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.sender import Exchange, Outcome
from kazoo_bridge.webhooks.http.wire_request import WireRequest

#: The status of a receiver that wants no more requests.
GONE = 410

#: The slot of an attempt that has none yet. It must not be released.
NO_SLOT = Slot(HookQueue("", ""))


@frozen
class AttemptResult:
    """What follows from an attempt. `next_attempt` is in Unix seconds; None: no further attempt.

    `attempts` counts the attempts at the delivery so far, except failures by a fault of this node;
    `reason` says why this one failed. `status` is that of the response, None without one.
    `counts_against_hook`: the attempt failed, by the fault of the receiver or of the hook. `dropped`: the
    event is not wanted any more.
    """

    delivered: bool
    attempts: int
    next_attempt: float | None = None
    reason: str = ""
    status: int | None = field(default=None, kw_only=True)
    counts_against_hook: bool = field(default=False, kw_only=True)
    dropped: bool = field(default=False, kw_only=True)

    @property
    def gone(self) -> bool:
        """Whether the receiver answered 410: it wants no more requests of the hook."""
        return self.status == GONE

    @property
    def done(self) -> bool:
        """True if nothing is to be kept of the delivery: it was delivered or dropped."""
        return self.delivered or self.dropped


class Concluder(Protocol):
    """What makes attempts."""

    def take_answered(self, attempt: AttemptInFlight) -> None:
        """Conclude an attempt that has an outcome, later in this turn."""

    def release_unsent(self, slot: Slot) -> None:
        """Release the slot of an attempt that says nothing about its receiver."""


@define(eq=False)
class AttemptInFlight:
    """An attempt whose outcome is awaited. A subclass implements `on_result`.

    `slot` must be set when it is started. `began` is in the clock's seconds, 0.0 before the request is made.
    `probe`: the hook is suspended, and a failure does not count again.
    """

    runner: Concluder
    hook: Hook
    delivery: Delivery
    slot: Slot = NO_SLOT
    probe: bool = False
    began: float = 0.0
    request: WireRequest | None = None
    exchange: Exchange | None = None
    outcome: Outcome | None = None
    ended: bool = False

    def on_result(self, result: AttemptResult) -> None:
        """Receive the result, once, unless the attempt is cancelled."""
        raise NotImplementedError

    def on_outcome(self, outcome: Outcome) -> None:
        """Take the outcome, to be concluded with those of this turn."""
        # The exchange refers to this: both would wait for the garbage collector, with the event and the
        # request, and each event would take memory that is not in the processor's caches.
        self.exchange = None
        self.outcome = outcome
        self.runner.take_answered(self)

    def cancel(self) -> None:
        """Close the connection and release the slot; `on_result` is not called."""
        if not self.ended:
            self.ended = True
            if self.exchange is not None:
                self.exchange.cancel()
            self.runner.release_unsent(self.slot)


@define(eq=False)
class ReportedAttempt(AttemptInFlight):
    """An attempt that calls `done` with its result."""

    done: Callable[[AttemptResult], None] = field(kw_only=True)

    def on_result(self, result: AttemptResult) -> None:
        """Report the result."""
        self.done(result)
