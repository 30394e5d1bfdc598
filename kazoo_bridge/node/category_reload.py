"""Adds new event categories to the running node, and says which ones need a restart.

A category that is in use is not replaced: subscriptions have its objects, the broker has its topics, and
other modules may have imported its file.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

import kazoo_bridge.plugins
from kazoo_bridge.interfaces import IEventCategory, StorageUnavailable, declared_exchanges
from kazoo_bridge.node.node import Node
from kazoo_bridge.plugins.discovery import find_new_categories

_log = Logger()

#: Files of ``plugins.path`` that are compared.
MAX_FILES = 1000


@define(eq=False)
class CategoryReloader:
    """Looks for new categories, and for files of `plugins.path` that have changed since they were imported.

    Make it when the node's categories have just been imported.
    """

    _node: Node
    _folder: str = field(init=False)
    _imported: dict[str, bytes] = field(init=False)
    _lock: DeferredLock = field(init=False, factory=DeferredLock)
    #: Categories were added, but their hooks or topics could not be.
    _unfinished: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        path = self._node.config.plugins.path
        self._folder = os.path.abspath(path) if path else ""  # twistd changes the working directory later
        self._imported = _digests(self._folder)

    def reload(self) -> Deferred[None]:
        """Add what is new, and log it; fires when events of it arrive. Failures are logged."""
        reloading: Deferred[None] = self._lock.run(lambda: Deferred.fromCoroutine(self._reload()))
        return reloading.addErrback(lambda failure: _log.failure("categories cannot be reloaded", failure))

    async def _reload(self) -> None:
        if not self._node.webhooks.is_consuming:
            _log.warn(
                "event categories cannot be reloaded while the node starts or stops, reload again later"
            )
            return
        files = _digests(self._folder)
        self._log_changes(files)
        added = find_new_categories(self._node.categories)
        # What could not be imported before counts by what it is now.
        self._imported |= {file: digest for file, digest in files.items() if file not in self._imported}
        for category in added:
            self._add(category)
        self._unfinished |= bool(added)
        if self._unfinished:
            self._unfinished = not await self._bring_events()

    def _log_changes(self, files: Mapping[str, bytes]) -> None:
        for file, digest in list(self._imported.items()):
            if files.get(file) == digest:
                continue
            if not _is_imported(file):
                del self._imported[file]  # it is imported now, if that is possible
                continue
            change = "has changed" if file in files else "was removed"
            _log.warn(
                "event category file {change} and needs a restart file={file}", change=change, file=file
            )

    def _add(self, category: IEventCategory) -> None:
        node = self._node
        node.bus.add_exchanges(declared_exchanges(category))
        node.categories.append(category)
        node.webhooks.add_categories([category])
        node.websockets.catalogue.add([category])
        _log.info(
            "event category added category={name} hooks={hooks}",
            name=category.name,
            hooks=", ".join(hook.id for hook in category.hooks),
        )

    async def _bring_events(self) -> bool:
        """Load the hooks of what was added, then bind its topics; return whether all of that has worked."""
        try:
            await self._node.storage_changes.load_hooks()
        except StorageUnavailable as error:
            _log.error(
                "hooks of new event categories cannot be loaded, reload again later reason={reason}",
                reason=error,
            )
            return False
        problems = await self._node.webhooks.bind_topics()
        for problem in problems:
            _log.error(
                "topic of an event category refused, reload again later reason={reason}", reason=problem
            )
        return not problems


def _digests(folder: str) -> dict[str, bytes]:
    """Return digests of the files that categories may be imported from."""
    if not folder:
        return {}
    files = islice(_files(Path(folder)), MAX_FILES)
    return {str(file): digest for file in files if (digest := _digest(file))}


def _files(folder: Path) -> Iterator[Path]:
    yield from folder.glob("*.py")
    for package in folder.glob("*/__init__.py"):
        yield from package.parent.rglob("*.py")


def _digest(file: Path) -> bytes:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return b""


def _is_imported(file: str) -> bool:
    prefix = f"{kazoo_bridge.plugins.__name__}."
    return any(
        getattr(module, "__file__", None) == file
        for name, module in list(sys.modules.items())
        if name.startswith(prefix)
    )
