"""Brings what changes in the storage, by whichever node, to what this node has in memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from attrs import frozen
from twisted.internet.defer import Deferred

from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.node.directory_watch import DirectoryWatch
from kazoo_bridge.pivot.service import PivotService
from kazoo_bridge.storage.change_feed import ALL, ChangeFeed
from kazoo_bridge.webhooks.hooks.hook_service import HookService


@frozen(eq=False)
class StorageChanges:
    """What follows the change feed. `loading` makes a context in which all hooks are read."""

    _hooks: HookService
    _pivots: PivotService
    _loading: Callable[[], AbstractContextManager[None]]

    def follow(self, feed: ChangeFeed, directory: BaseDirectory, directory_watch: DirectoryWatch) -> None:
        """Let the directory, hooks and pivot points follow `feed`, and then the rights of clients."""
        feed.subscribe(directory.on_change)
        feed.subscribe(self.apply)
        feed.subscribe(lambda _kind, _subjects: directory_watch.look())

    def apply(self, kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        """Read again what has changed; fires when hooks have been read."""
        if kind in (ALL, "pivot"):
            self._pivots.points_in_memory.forget(None if kind == ALL else subjects)
        if kind == ALL:
            return Deferred.fromCoroutine(self.load_hooks())
        return Deferred.fromCoroutine(self._hooks.reload(subjects)) if kind == "hook" else None

    async def load_hooks(self) -> None:
        """Read all hooks. Raises `StorageUnavailable`."""
        with self._loading():
            await self._hooks.load()
