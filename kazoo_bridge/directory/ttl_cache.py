"""Answers kept for a while: bounded, the least recently used go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TtlCache(Generic[T]):
    """At most `limit` answers, each until a time of its own."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._answers: OrderedDict[str, tuple[T, float | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: str, now: float) -> T | None:
        """The answer, unless there is none or its time has come."""
        found = self._answers.get(question)
        if found is None:
            return None
        answer, until = found
        if until is not None and until <= now:
            del self._answers[question]
            return None
        self._answers.move_to_end(question)
        return answer

    def put(self, question: str, answer: T, until: float | None) -> None:
        """Keep an answer until a time, None: for as long as there is room."""
        self._answers[question] = (answer, until)
        self._answers.move_to_end(question)
        while len(self._answers) > self._limit:
            self._answers.popitem(last=False)

    def discard(self, question: str) -> None:
        """Forget one answer."""
        self._answers.pop(question, None)

    def discard_if(self, unwanted: Callable[[T], bool]) -> None:
        """Forget every answer of which `unwanted` is true."""
        for question in [question for question, (answer, _) in self._answers.items() if unwanted(answer)]:
            del self._answers[question]

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()
