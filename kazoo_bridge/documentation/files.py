"""The files of the documentation, as they are served."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kazoo_bridge.console.files import INDEX, PageFiles

_PACKAGE = Path(__file__).parent

#: What ``make docs`` has built.
PAGES = _PACKAGE / "pages"

#: The page that shows the OpenAPI document.
API = _PACKAGE / "api"

#: What is shown instead of pages that were not built.
_UNBUILT = _PACKAGE / "unbuilt"


@cache
def documentation_files(folder: Path = PAGES) -> PageFiles:
    """Return the built pages in a folder, or one that says how to build them; they are read once."""
    return PageFiles.unchanged(folder if (folder / INDEX).is_file() else _UNBUILT)


@cache
def api_files() -> PageFiles:
    """Return the files of the page that shows the OpenAPI document; they are read once."""
    return PageFiles.from_folder(API)
