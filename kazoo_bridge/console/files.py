"""The files of the console, as they are served."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

PAGE = Path(__file__).parent / "page"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@frozen
class PageFile:
    """One file. `revision` changes with its content."""

    content: bytes
    content_type: str
    revision: str


def page_files(folder: Path = PAGE) -> Mapping[str, PageFile]:
    """All files of the page, by their paths below it. Nothing else can be asked for, whatever a request's path looks like."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES and path.is_file())
    return {path.relative_to(folder).as_posix(): _read(path) for path in found}


def _read(path: Path) -> PageFile:
    content = path.read_bytes()
    return PageFile(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:32])
