"""Finds the event categories, and reports the unusable ones without harm to the others."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import cast

from attrs import frozen
from twisted.logger import Logger
from twisted.plugin import CachedDropin, CachedPlugin, getCache
from twisted.python.modules import getModule

import kazoo_bridge.categories
import kazoo_bridge.plugins
from kazoo_bridge.interfaces import IEventCategory
from kazoo_bridge.plugins.legacy import adapt, former_names_in
from kazoo_bridge.plugins.validation import InvalidPlugin, validated, verify

_log = Logger()


@frozen
class _Candidate:
    """An object that provides `IEventCategory`; `location` is its qualified name."""

    location: str
    module: str
    category: IEventCategory


def find_categories(path: str = "") -> list[IEventCategory]:
    """Return every usable category, the built-in ones first.

    `path` is a folder with further categories, one file each; empty: there is none.

    A category that cannot be imported, does not fulfil its interface, or has a name or a hook id that is
    taken is logged with the reason and left out. Categories that are not built in are returned as
    `ValidatedCategory`.
    """
    path = os.path.abspath(path) if path else ""
    if path and path not in kazoo_bridge.plugins.__path__:
        kazoo_bridge.plugins.__path__.append(path)
        importlib.invalidate_caches()
    usable = built_in_categories()
    warned: set[str] = set()
    for candidate in _candidates(kazoo_bridge.plugins, path):
        if candidate.module not in warned:
            warned.add(candidate.module)
            _warn_of_former_names(candidate)
        _add(candidate, usable, built_in=False)
    return usable


def built_in_categories() -> list[IEventCategory]:
    """Return the categories of the package `kazoo_bridge.categories`."""
    usable: list[IEventCategory] = []
    for candidate in _candidates(kazoo_bridge.categories, ""):
        _add(candidate, usable, built_in=True)
    return usable


def _add(candidate: _Candidate, usable: list[IEventCategory], *, built_in: bool) -> None:
    """Append the category to `usable`, or log why it is left out."""
    category = candidate.category if built_in else adapt(candidate.category)
    try:
        verify(category, usable)
        usable.append(category if built_in else cast(IEventCategory, validated(category)))
    except InvalidPlugin as error:
        _log.error(
            "event category left out category={location}: {reason}",
            location=candidate.location,
            reason=error,
        )


def _warn_of_former_names(candidate: _Candidate) -> None:
    """Log one warning if the candidate's file uses names of the first release."""
    file = getattr(sys.modules.get(candidate.module), "__file__", None)
    try:
        names = former_names_in(Path(file).read_text()) if file else {}
    except (OSError, ValueError, SyntaxError):
        return  # such as a compiled file without its source
    if names:
        _log.warn(
            "event category uses former names, which still work category={location}: {names}",
            location=candidate.location,
            names=", ".join(f"{former} is now {present}" for former, present in names.items()),
        )


def _candidates(package: ModuleType, path: str) -> Iterator[_Candidate]:
    dropins: dict[str, CachedDropin] = getCache(package)
    _report_files(package, dropins, path)
    for short_name in sorted(dropins):
        for cached in dropins[short_name].plugins:
            if _is_category(cached):
                module = cached.dropin.moduleName
                location = f"{module}.{cached.name}"
                category = _load(location, cached)
                if category is not None:
                    yield _Candidate(location, module, category)


def _report_files(package: ModuleType, dropins: dict[str, CachedDropin], path: str) -> None:
    """Log which files contain no category, and why."""
    files = {
        module.name.rpartition(".")[2]: module.filePath
        for module in getModule(package.__name__).iterModules()
    }
    for short_name, file in files.items():
        if short_name not in dropins:
            _log.error(
                "event category file left out file={file}: it cannot be imported, see the traceback above",
                file=file.path,
            )
        elif file.dirname() == path and not any(map(_is_category, dropins[short_name].plugins)):
            _log.warn(
                "no event category found file={file}: no object in it provides IPlugin and IEventCategory",
                file=file.path,
            )
    for hidden in sorted(Path(path).glob("*.py")) if path else ():
        if (file := files.get(hidden.stem)) is not None and file.path != str(hidden):
            _log.error(
                "event category file left out file={file}: {other} has its name, rename it",
                file=str(hidden),
                other=file.path,
            )


def _is_category(cached: CachedPlugin) -> bool:
    return any(interface.isOrExtends(IEventCategory) for interface in cached.provided)


def _load(location: str, cached: CachedPlugin) -> IEventCategory | None:
    try:
        return cast(IEventCategory, cached.load())
    except (Exception, SystemExit):
        _log.failure("event category left out category={location}: it cannot be imported", location=location)
        return None
