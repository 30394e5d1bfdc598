"""Does equal work of many deliveries together, at the end of a turn of the reactor.

A processor runs the same few functions for thirty deliveries in half the time that it takes to run all
functions for one delivery after another, because its caches hold only a part of them. So what a turn of the
reactor brings (events, responses) is collected, and taken through one stage after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T")


@define(eq=False)
class Stage(Generic[T]):
    """One kind of work. `handle_all` does it for all items that were added; it must not raise."""

    _stages: TurnStages
    _handle_all: Callable[[list[T]], None]
    _items: list[T] = field(init=False, factory=list)

    def add(self, item: T) -> None:
        """Do the work for `item` at the end of this turn."""
        self._items.append(item)
        if not self._stages.scheduled:
            self._stages.schedule()

    def run(self) -> None:
        """Do the work for what has been added so far."""
        if self._items:
            items, self._items = self._items, []
            self._handle_all(items)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self._items


@define(eq=False)
class TurnStages:
    """The stages, in the order in which they run. `_clock` calls them at the end of the turn."""

    _clock: IReactorTime
    scheduled: bool = field(init=False, default=False)
    _call: IDelayedCall | None = field(init=False, default=None)
    _stopped: bool = field(init=False, default=False)
    _stages: list[Stage[object]] = field(init=False, factory=list)

    def make_stage(self, handle_all: Callable[[list[T]], None]) -> Stage[T]:
        """Add a stage, which runs after those that were added before it."""
        stage: Stage[T] = Stage(self, handle_all)
        self._stages.append(stage)  # type: ignore[arg-type] # each stage gets back what was added to it
        return stage

    def schedule(self) -> None:
        """Run the stages at the end of this turn. Called by a stage that gets its first item."""
        self.scheduled = True
        if not self._stopped:
            self._call = self._clock.callLater(0, self.run)

    def stop(self) -> None:
        """Do nothing more, not even what was added in this turn, and leave no delayed call."""
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()

    def run(self) -> None:
        """Run each stage once; what they leave to earlier ones follows at the end of the next turn."""
        try:
            for stage in self._stages:
                stage.run()
        finally:
            self.scheduled = False
            if not all(stage.is_empty for stage in self._stages):
                self.schedule()
