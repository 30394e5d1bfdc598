"""Whose turn it is among many: whoever has the fewest under way, and among equals whoever has waited longest."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from attrs import define, field

T = TypeVar("T")


@define(eq=False)
class LeastLoadedQueue(Generic[T]):
    """Those who want a turn, by name. Every call takes the same time however many they are."""

    _levels: list[OrderedDict[str, T]] = field(init=False, factory=list)
    _level_of: dict[str, int] = field(init=False, factory=dict)

    def __len__(self) -> int:
        return len(self._level_of)

    def put(self, name: str, one: T, under_way: int) -> None:
        """It wants a turn, and has so many under way. Whoever says so again with the same number keeps its place."""
        if self._level_of.get(name) == under_way:
            return
        self.remove(name)
        while len(self._levels) <= under_way:
            self._levels.append(OrderedDict())
        self._levels[under_way][name] = one
        self._level_of[name] = under_way

    def remove(self, name: str) -> None:
        """It wants none any more, or may have none just now; unknown names are no error."""
        level = self._level_of.pop(name, None)
        if level is not None:
            del self._levels[level][name]

    def first(self) -> T | None:
        """Whose turn it is; None when nobody wants one."""
        return next((next(iter(level.values())) for level in self._levels if level), None)
