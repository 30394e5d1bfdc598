"""The console's ``index.html`` as it is served: one style sheet, files by revision, modules named ahead."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

#: The style sheets of the page in one file. In their folder, because they name other files relatively.
STYLE = "style/all.css"

_STYLE_LINK = re.compile(r'\n *<link rel="stylesheet" href="([^"]+)">')
_FILE_OF_THE_PAGE = re.compile(r'\b(src|href)="((?:app|style|vendor)/[^"]+)"')

#: `from "./x.js"`, `import "./x.js"`; and `import("./x.js")`, which loads the module only when it runs.
_STATIC_IMPORT = re.compile(r'^(?:import|export)\b[^;"]*"(\.{1,2}/[^"]+)"', re.MULTILINE)
_DYNAMIC_IMPORT = re.compile(r'\bimport\("(\.{1,2}/[^"]+)"\)')


@frozen
class IndexPage:
    """The page's HTML, and the paths of its style sheets in their order."""

    html: str
    styles: Sequence[str]

    @classmethod
    def parse(cls, html: str) -> IndexPage:
        """Find the style sheets of a page."""
        return cls(html, _STYLE_LINK.findall(html))

    def render(self, prefix: str, modules: Sequence[str]) -> str:
        """Return the HTML with `prefix` before the paths of its files, and with `modules` preloaded."""
        one_style = f'\n    <link rel="stylesheet" href="{STYLE}">' if self.styles else ""
        html = _STYLE_LINK.sub(lambda match: one_style if match[1] == self.styles[0] else "", self.html)
        preloads = "".join(f'  <link rel="modulepreload" href="{name}">\n  ' for name in modules)
        return _FILE_OF_THE_PAGE.sub(rf'\1="{prefix}\2"', html.replace("</head>", f"{preloads}</head>", 1))


def module_order(contents: Mapping[str, bytes], main: str) -> list[str]:
    """Return the modules that `main` imports, directly or not, in the order in which a browser needs them.

    What is imported dynamically comes after everything that is needed at once. Modules that `contents` lacks
    are left out.
    """
    order: list[str] = []
    starts = [main]
    for start in starts:
        queue = [start]
        for name in queue:
            if name in order or name not in contents:
                continue
            order.append(name)
            source = contents[name].decode()
            queue.extend(_resolved(name, _STATIC_IMPORT.findall(source)))
            starts.extend(_resolved(name, _DYNAMIC_IMPORT.findall(source)))
    return order


def _resolved(name: str, imports: Sequence[str]) -> Iterator[str]:
    for path in imports:
        yield posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
