from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from zope.interface.interface import InterfaceClass

from kazoo_bridge import testing
from kazoo_bridge.interfaces import bus, categories, directory

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text()


def public_classes(*modules: ModuleType) -> list[str]:
    """Return the names of the classes and interfaces that these modules define."""
    return [
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type | InterfaceClass) and value.__module__ == module.__name__
    ]


@pytest.mark.parametrize(
    "name",
    [f"kazoo_bridge.interfaces.{name}" for name in public_classes(bus, categories, directory)]
    + [f"kazoo_bridge.testing.{name}" for name in testing.__all__],
)
def test_the_reference_documents_every_class_that_plugins_need(name: str) -> None:
    assert f":: {name}\n" in PAGE
