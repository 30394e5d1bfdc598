"""Collects what `/readyz` may say from the code: each text, with … for what is put in at run time."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from kazoo_bridge.storage.database_errors import _SQLITE

PACKAGE = Path(__file__).parents[2] / "kazoo_bridge"

#: Where the parts of a node say why they do not work.
MODULES = ("node", "bus", "directory", "couchdb", "storage")

#: The parts, whose names are before the texts.
PARTS = ("bus", "storage", "directory", "hooks")

#: Functions that return such texts.
_FUNCTIONS = {
    "problem",
    "unavailable_reason",
    "degraded",
    "degradations",
    "missing_bindings",
    "_refusal",
    "_no_answer",
    "_refuse",
    "describe",
    "_describe_sqlite",
}

#: Attributes that keep such texts.
_ATTRIBUTES = {"problem", "_unavailable_reason", "last_error", "_load_error"}

#: Constants with such texts.
_CONSTANTS = {"EMBEDDED", "_NOT_STARTED", "STARTING"}

#: Calls whose argument becomes such a text.
_ERRORS = {"StorageUnavailable"}

#: A text that ends with one of a table's.
_OF_THE_FILE = "the database file … …"


@cache
def reasons() -> frozenset[str]:
    """Return all texts."""
    found: set[str] = set()
    for folder in MODULES:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            tree = ast.parse(path.read_text())
            name = path.relative_to(PACKAGE).as_posix()
            found.update(_of_functions(tree))
            found.update(_of_assignments(tree))
            if name == "storage/database.py":
                found.update(_of_errors(tree))
            if name == "node/node.py":
                found.update(_of_lambdas(tree))
    found.remove(_OF_THE_FILE)
    found.update(_OF_THE_FILE.removesuffix("…") + words for words in _SQLITE.values())
    found = {text for text in found if " " in text and len(text.strip("… ")) > 3}
    return frozenset(found - {f"{part}: …" for part in PARTS})


def _of_functions(tree: ast.AST) -> Iterator[str]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name in _FUNCTIONS:
            for node in ast.walk(function):
                is_part = isinstance(node, ast.Assign) and _target(node) == "what"
                if is_part or isinstance(node, ast.Return | ast.AugAssign):
                    yield from _texts(node)


def _of_assignments(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node.value is not None:
            names = {name for target in node.targets for name in _names(target)}
            if names & _ATTRIBUTES or names & _CONSTANTS:
                yield from _texts(node.value)


def _of_errors(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ERRORS:
            yield from _texts(node)


def _of_lambdas(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            yield from _texts(node.body)


def _target(node: ast.Assign) -> str:
    return next(_names(node.targets[0]), "")


def _names(target: ast.AST) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts in an expression; those inside formatted values are yielded apart."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                yield from _texts(part.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)
