"""The directive ``autointerface``: documents a zope interface from its docstrings.

Autodoc does not know zope interfaces.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from zope.interface.interface import InterfaceClass, Method


class AutoInterface(SphinxDirective):
    """``autointerface:: package.IName``"""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path, _, name = self.arguments[0].rpartition(".")
        lines = StringList(
            list(_describe(getattr(import_module(path), name), path)), source=self.arguments[0]
        )
        container = nodes.Element()
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children


def _describe(interface: InterfaceClass, module: str) -> Iterator[str]:
    bases = [base.__name__ for base in interface.__bases__ if base.__name__ != "Interface"]
    yield f".. py:class:: {interface.__name__}{'(' + ', '.join(bases) + ')' if bases else ''}"
    yield f"   :module: {module}"
    yield ""
    yield from _indented(interface.__doc__, 3)
    for name, member in interface.namesAndDescriptions():
        if isinstance(member, Method):
            yield f"   .. py:method:: {name}{_signature(interface, name)}"
        else:
            yield f"   .. py:attribute:: {name}"
        yield ""
        yield from _indented(member.__doc__, 6)


def _signature(interface: InterfaceClass, name: str) -> str:
    # The annotations are those of the source: zope.interface keeps the names of parameters only.
    source = inspect.getsource(import_module(interface.__module__))
    body = source[source.index(f"class {interface.__name__}(") :]
    start = body.index(f"def {name}(") + len(f"def {name}")
    text = " ".join(body[start : body.index('"""', start)].split()).removesuffix(":")
    return text.replace("( ", "(").replace(" )", ")").replace(",)", ")")


def _indented(text: str, width: int) -> Iterator[str]:
    for line in inspect.cleandoc(text).splitlines():
        yield " " * width + line if line else ""
    yield ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("autointerface", AutoInterface)
    return {"parallel_read_safe": True}
