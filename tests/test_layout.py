"""The layout that `docs/explanation/architecture.md` and CONTRIBUTING.md promise."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "kazoo_bridge"

#: Tested as a whole: the description of the API by requests to it, the demo by its switchboard.
TESTED_AS_A_WHOLE = (PACKAGE / "rest" / "openapi", PACKAGE / "demo", PACKAGE / "storage" / "migrations")

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
LINES = {path: len(path.read_text().splitlines()) for path in MODULES}


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def classes() -> Iterator[tuple[str, str]]:
    """Yield name and module of each class."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield node.name, name(path)


def test_a_class_name_means_one_thing() -> None:
    modules = defaultdict(list)
    for class_name, module in classes():
        modules[class_name].append(module)
    assert {class_name: found for class_name, found in modules.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", [path for path in MODULES if LINES[path] > 30], ids=name)
def test_a_module_has_tests_of_its_name(path: Path) -> None:
    if not any(path.is_relative_to(folder) for folder in TESTED_AS_A_WHOLE):
        assert (TESTS / path.relative_to(PACKAGE).parent / f"test_{path.name}").exists()


def test_no_module_has_more_than_400_lines() -> None:
    assert {name(path): lines for path, lines in LINES.items() if lines > 400} == {}
