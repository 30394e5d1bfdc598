"""Adapts categories that were written for the first release, and finds the former names that they use."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, cast

from attrs import define
from zope.interface import directlyProvides

from kazoo_bridge.interfaces import IBindingCategory, IEventCategory
from kazoo_bridge.legacy import FORMER_KEYWORDS, FORMER_METHODS, FORMER_NAMES

_FORMER_METHOD_BY_NAME = {present: former for former, present in FORMER_METHODS.items()}


@define(slots=False, eq=False)
class _AdaptedCategory:
    """A category whose former methods are called by their present names."""

    _category: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self._category, _FORMER_METHOD_BY_NAME.get(name, name))


def adapt(category: IEventCategory) -> IEventCategory:
    """Return the category; if it has the former methods of `IBindingCategory`, with their present names."""
    if not IBindingCategory.providedBy(category) or not all(
        hasattr(type(category), former) and not hasattr(type(category), present)
        for former, present in FORMER_METHODS.items()
    ):
        return category
    adapted = _AdaptedCategory(category)
    directlyProvides(adapted, IBindingCategory)
    return cast(IEventCategory, adapted)


def former_names_in(source: str) -> Mapping[str, str]:
    """Find the former names in the text of a Python file; return each with its present name, sorted."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        found |= dict(_former_names(node))
    return dict(sorted(found.items()))


def _former_names(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kazoo_bridge."):
        for imported in node.names:
            if imported.name in FORMER_NAMES:
                yield imported.name, FORMER_NAMES[imported.name]
    elif isinstance(node, ast.Attribute) and node.attr in FORMER_NAMES:
        yield node.attr, FORMER_NAMES[node.attr]
    elif isinstance(node, ast.FunctionDef) and node.name in FORMER_METHODS:
        yield node.name, FORMER_METHODS[node.name]
    elif isinstance(node, ast.keyword) and node.arg is not None and node.arg in FORMER_KEYWORDS:
        yield node.arg, FORMER_KEYWORDS[node.arg]
