"""Finds the event categories, and reports the unusable ones without harm to the others."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import cast

from attrs import frozen
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python.modules import PythonModule, getModule

import kazoo_bridge.categories
import kazoo_bridge.plugins
from kazoo_bridge.interfaces import IEventCategory
from kazoo_bridge.plugins.legacy import adapt, former_names_in
from kazoo_bridge.plugins.modifier_problems import modifier_problems
from kazoo_bridge.plugins.validation import InvalidPlugin, ValidatedCategory, validated, verify

_log = Logger()

#: Files in sub-folders that are reported.
MAX_REPORTED_FILES = 20


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


def find_new_categories(present: Iterable[IEventCategory]) -> list[IEventCategory]:
    """Return the usable categories of modules that `find_categories` has not imported, or could not.

    What is imported stays as it is. `present` are the categories in use; whatever clashes with them is logged
    and left out.
    """
    importlib.invalidate_caches()
    usable = list(present)
    before = len(usable)
    modules = getModule(kazoo_bridge.plugins.__name__).iterModules()
    for module in sorted(modules, key=lambda module: str(module.name)):
        if module.name not in sys.modules:
            for name, category in (_load(module) or {}).items():
                candidate = _Candidate(f"{module.name}.{name}", module.name, category)
                _warn_of_former_names(candidate)
                _add(candidate, usable, built_in=False)
    return usable[before:]


def built_in_categories() -> list[IEventCategory]:
    """Return the categories of the package `kazoo_bridge.categories`."""
    usable: list[IEventCategory] = []
    for candidate in _candidates(kazoo_bridge.categories, ""):
        _add(candidate, usable, built_in=True)
    return usable


def _warn_of_modifiers(candidate: _Candidate, category: ValidatedCategory) -> None:
    for hook in category.hooks:
        for problem in modifier_problems(hook):
            _log.warn(
                "event category has a mistake category={location}: {problem}",
                location=candidate.location,
                problem=problem,
            )


def _add(candidate: _Candidate, usable: list[IEventCategory], *, built_in: bool) -> None:
    """Append the category to `usable`, or log why it is left out."""
    category = candidate.category if built_in else adapt(candidate.category)
    try:
        verify(category, usable)
        if not built_in:
            checked = validated(category)
            _warn_of_modifiers(candidate, checked)
            category = cast(IEventCategory, checked)
        usable.append(category)
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
    # Without Twisted's cache, which is a pickle in the folder and cannot be written where root owns it.
    found = {module.name.rpartition(".")[2]: module for module in getModule(package.__name__).iterModules()}
    for short_name in sorted(found):
        module = found[short_name]
        categories = _load(module)
        if _folder_of(module) == path and categories == {}:
            _log.warn(
                "no event category found file={file}: no object in it provides IPlugin and IEventCategory",
                file=module.filePath.path,
            )
        for name, category in (categories or {}).items():
            yield _Candidate(f"{module.name}.{name}", module.name, category)
    if path:
        _report_unread(Path(path), {name: module.filePath.path for name, module in found.items()})


def _folder_of(module: PythonModule) -> str:
    file = module.filePath
    return str((file.parent() if file.basename() == "__init__.py" else file).dirname())


def _load(module: PythonModule) -> Mapping[str, IEventCategory] | None:
    """Return the categories of a module by name, or log why it cannot be imported."""
    try:
        namespace = vars(module.load())
        return {
            name: cast(IEventCategory, value)
            for name, value in namespace.items()
            if IPlugin.providedBy(value) and IEventCategory.providedBy(value)
        }
    except (Exception, SystemExit):
        _log.failure(
            "event category file left out file={file}: it cannot be imported", file=module.filePath.path
        )
        return None


def _report_unread(folder: Path, read: Mapping[str, str]) -> None:
    """Log the Python files that nothing imports. `read`: the imported files by the name of their module."""
    for file in sorted(folder.glob("*.py")):
        if not file.stem.isidentifier() or iskeyword(file.stem):
            _log.error(
                "event category file left out file={file}: its name must be letters, digits and _, "
                "rename it to {other}",
                file=str(file),
                other=f"{re.sub('[^0-9A-Za-z]+', '_', file.stem)}.py",
            )
        elif file.stem in read and read[file.stem] != str(file):
            _log.error(
                "event category file left out file={file}: {other} has its name, rename it",
                file=str(file),
                other=read[file.stem],
            )
    for file in sorted(folder.glob("*/*.py"))[:MAX_REPORTED_FILES]:
        if file.parent.name != "__pycache__" and not (file.parent / "__init__.py").exists():
            _log.warn(
                "event category file left out file={file}: sub-folders are not searched, move it to {folder}",
                file=str(file),
                folder=str(folder),
            )
