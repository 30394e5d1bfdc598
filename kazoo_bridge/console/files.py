"""The files of the console's page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

#: The folder of the page.
PAGE = Path(__file__).parent / "page"

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


@frozen
class PageFile:
    """A file of the page. `revision` is a digest of its content."""

    content: bytes
    content_type: str
    revision: str


def page_files(folder: Path = PAGE) -> Mapping[str, PageFile]:
    """Read all files of the page, by their paths within it.

    Requests are answered from this mapping alone, so that no path of a request can reach another file.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _CONTENT_TYPES and path.is_file())
    return {path.relative_to(folder).as_posix(): _read(path) for path in paths}


def _read(path: Path) -> PageFile:
    content = path.read_bytes()
    return PageFile(content, _CONTENT_TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:32])
