"""Finds the event categories, and reports those that cannot be used without letting them harm the others."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import cast

from twisted.logger import Logger
from twisted.plugin import CachedDropin, CachedPlugin, getCache
from twisted.python.modules import getModule
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

import kazoo_bridge.categories
import kazoo_bridge.plugins
from kazoo_bridge.interfaces import IBindingCategory, IEventCategory
from kazoo_bridge.plugins.validation import InvalidPlugin, validated

_log = Logger()


def find_categories(path: str = "") -> list[IEventCategory]:
    """Every usable category, the built-in ones first; `path` is a folder of ops' own, or ``""``.

    A category that fails to import, to verify or to be told from another is logged with the reason and left out.
    """
    path = os.path.abspath(path) if path else ""
    if path and path not in kazoo_bridge.plugins.__path__:
        kazoo_bridge.plugins.__path__.append(path)
        importlib.invalidate_caches()
    usable: list[IEventCategory] = []
    for package in (kazoo_bridge.categories, kazoo_bridge.plugins):
        for where, candidate in _candidates(package, path if package is kazoo_bridge.plugins else ""):
            try:
                _verify(candidate, usable)
                usable.append(
                    candidate
                    if package is kazoo_bridge.categories
                    else cast(IEventCategory, validated(candidate))
                )
            except InvalidPlugin as reason:
                _log.error("event category {where} is left out: {reason}", where=where, reason=reason)
    return usable


def _candidates(package: ModuleType, path: str) -> Iterator[tuple[str, IEventCategory]]:
    dropins: dict[str, CachedDropin] = getCache(package)
    _report_files(package, dropins, path)
    for short_name in sorted(dropins):
        for cached in dropins[short_name].plugins:
            if _is_category(cached):
                where = f"{cached.dropin.moduleName}.{cached.name}"
                candidate = _load(where, cached)
                if candidate is not None:
                    yield where, candidate


def _report_files(package: ModuleType, dropins: dict[str, CachedDropin], path: str) -> None:
    """Say which files give no category, and why."""
    files = {
        module.name.rpartition(".")[2]: module.filePath
        for module in getModule(package.__name__).iterModules()
    }
    for short_name, file in files.items():
        if short_name not in dropins:
            _log.error(
                "event category file {file} is left out: it cannot be imported, see the traceback above",
                file=file.path,
            )
        elif file.dirname() == path and not any(map(_is_category, dropins[short_name].plugins)):
            _log.warn(
                "{file} holds no event category: no object in it provides both IPlugin and IEventCategory",
                file=file.path,
            )
    for hidden in sorted(Path(path).glob("*.py")) if path else ():
        if (file := files.get(hidden.stem)) is not None and file.path != str(hidden):
            _log.error(
                "event category file {file} is left out: {other} has its name, rename it",
                file=str(hidden),
                other=file.path,
            )


def _is_category(cached: CachedPlugin) -> bool:
    return any(interface.isOrExtends(IEventCategory) for interface in cached.provided)


def _load(where: str, cached: CachedPlugin) -> IEventCategory | None:
    try:
        return cast(IEventCategory, cached.load())
    except (Exception, SystemExit):
        _log.failure("event category {where} is left out: it cannot be imported", where=where)
        return None


def _verify(candidate: IEventCategory, usable: list[IEventCategory]) -> None:
    """Raises `InvalidPlugin` when `candidate` does not fulfil the interface, or cannot be told from those in `usable`."""
    try:
        verifyObject(
            IBindingCategory if IBindingCategory.providedBy(candidate) else IEventCategory, candidate
        )
        name, hook_ids = candidate.name, {hook.id for hook in candidate.hooks}
    except Invalid as error:
        raise InvalidPlugin(" ".join(str(error).split())) from None
    except (Exception, SystemExit) as error:
        raise InvalidPlugin(f"asking for its name and hooks raised {type(error).__name__}: {error}") from None
    if any(category.name == name for category in usable):
        raise InvalidPlugin(f"another category is already named {name!r}")
    taken = {hook.id for category in usable for hook in category.hooks} | {"all"}
    if clash := sorted(map(str, taken & hook_ids)):
        raise InvalidPlugin(f"hook id {clash[0]!r} belongs to another category")
