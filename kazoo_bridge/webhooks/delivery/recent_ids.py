"""Remembers the latest ids."""

from __future__ import annotations


class RecentIds:
    """The latest `capacity` ids, within a tenth, for questions that are rare.

    Noting an id costs a fraction of what it costs in an ordered dictionary: ids are collected, and a piece of
    them becomes a set at once.
    """

    def __init__(self, capacity: int) -> None:
        self._piece_size = max(1, capacity // 10)
        self._max_pieces = capacity // self._piece_size
        self._pieces: list[frozenset[str]] = []
        self._latest: list[str] = []

    def add(self, item: str) -> None:
        """Note an id, and forget the oldest ones if there are too many."""
        self._latest.append(item)
        if len(self._latest) >= self._piece_size:
            self._pieces.append(frozenset(self._latest))
            del self._pieces[: -self._max_pieces]
            self._latest = []

    def __contains__(self, item: str) -> bool:
        return item in self._latest or any(item in piece for piece in self._pieces)
