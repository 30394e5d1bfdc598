"""Finds the event categories, and reports those that cannot be used without letting them harm the others."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import cast

from twisted.logger import Logger
from twisted.plugin import CachedDropin, CachedPlugin, getCache
from twisted.python.modules import getModule
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

import kazoo_bridge.categories
import kazoo_bridge.plugins
from kazoo_bridge.interfaces import HookType, IBindingCategory, IEventCategory

_log = Logger()


def find_categories(path: str = "") -> list[IEventCategory]:
    """Every usable category, the built-in ones first; `path` is a folder of ops' own, or ``""``.

    A category that fails to import, to verify or to be told from another is logged with the reason and left out.
    """
    if path and path not in kazoo_bridge.plugins.__path__:
        kazoo_bridge.plugins.__path__.append(path)
        importlib.invalidate_caches()
    usable: list[IEventCategory] = []
    for package in (kazoo_bridge.categories, kazoo_bridge.plugins):
        for where, candidate in _candidates(package):
            reason = _objection(candidate, usable)
            if reason is None:
                usable.append(candidate)
            else:
                _log.error("event category {where} is left out: {reason}", where=where, reason=reason)
    return usable


def _candidates(package: ModuleType) -> Iterator[tuple[str, IEventCategory]]:
    dropins: dict[str, CachedDropin] = getCache(package)
    for module in getModule(package.__name__).iterModules():
        short_name = module.name.rpartition(".")[2]
        if short_name not in dropins:
            _log.error("event category file {file} is left out: it cannot be imported, see the traceback above", file=module.filePath.path)
    for short_name in sorted(dropins):
        for cached in dropins[short_name].plugins:
            if any(interface.isOrExtends(IEventCategory) for interface in cached.provided):
                where = f"{cached.dropin.moduleName}.{cached.name}"
                candidate = _load(where, cached)
                if candidate is not None:
                    yield where, candidate


def _load(where: str, cached: CachedPlugin) -> IEventCategory | None:
    try:
        return cast(IEventCategory, cached.load())
    except Exception:
        _log.failure("event category {where} is left out: it cannot be imported", where=where)
        return None


def _objection(candidate: IEventCategory, usable: list[IEventCategory]) -> str | None:
    """Why `candidate` cannot be used beside those that are, or None."""
    try:
        verifyObject(IBindingCategory if IBindingCategory.providedBy(candidate) else IEventCategory, candidate)
        hook_ids = [hook.id for hook in candidate.hooks if isinstance(hook, HookType)]
        complete = len(hook_ids) == len(candidate.hooks)
        topics = [list(candidate.topics(hook_id)) for hook_id in hook_ids]
    except Invalid as error:
        return " ".join(str(error).split())
    except Exception as error:
        return f"asking for its hooks and topics raised {type(error).__name__}: {error}"
    taken = {hook.id for category in usable for hook in category.hooks} | {"all"}
    if not isinstance(candidate.name, str) or not complete or not all(topics):
        return "`name` must be a str and `hooks` HookType objects, each with at least one topic"
    if any(category.name == candidate.name for category in usable):
        return f"another category is already named {candidate.name!r}"
    if taken_ids := sorted(taken & set(hook_ids)):
        return f"hook id {taken_ids[0]!r} belongs to another category"
    return None
