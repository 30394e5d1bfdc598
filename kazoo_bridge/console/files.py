"""The files of a static page, of the console for example, as they are served.

The source of the page needs no build step, and works from a folder. To load fast over slow networks, what is
served differs in three ways: files are compressed, each when it is requested first; the page names its files
below a path with their revision, so that browsers keep them for ever; and the style sheets are one file, and
all modules are named in the page (see `index`), so that browsers need not find them one after the other.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path

from attrs import frozen

from kazoo_bridge.console.index import STYLE, IndexPage, module_order

#: The folder of the page.
PAGE = Path(__file__).parent / "page"

INDEX = "index.html"
_MAIN_MODULE = "app/main.js"

_TEXTS = "app/strings/"
_DEFAULT_TEXTS = ("app/strings/en.", "app/strings/en/")

#: Below this folder and their revision, files never change.
_REVISIONS = "r"

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}

#: Compressed already.
_INCOMPRESSIBLE = ("font/woff2", "image/png")


@frozen
class PageFile:
    """A file of the page. `revision` is a digest of its content."""

    content: bytes
    content_type: str
    revision: str

    @classmethod
    def from_content(cls, suffix: str, content: bytes) -> PageFile:
        """Prepare a file; `suffix` is that of its name."""
        return cls(content, _CONTENT_TYPES[suffix], _digest(content))

    @cached_property
    def gzip(self) -> bytes | None:
        """The compressed content; None if it is not smaller."""
        if self.content_type in _INCOMPRESSIBLE:
            return None
        compressed = gzip.compress(self.content, mtime=0)
        return compressed if len(compressed) < len(self.content) else None


@frozen
class PageFiles:
    """The files by their paths within the page, and their common `revision`.

    Requests are answered from this mapping alone, so that no path of a request can reach another file.
    """

    files: Mapping[str, PageFile]
    revision: str

    @classmethod
    def from_folder(cls, folder: Path = PAGE) -> PageFiles:
        """Read and prepare the files of a page, whose start is `index.html`."""
        contents = dict(_read(folder))
        revision = _digest(*(part for name, content in contents.items() for part in (name.encode(), content)))
        if INDEX in contents:
            index = IndexPage.parse(contents[INDEX].decode())
            contents[STYLE] = b"".join(contents[name] for name in index.styles)
            modules = [name for name in module_order(contents, _MAIN_MODULE) if not _is_optional(name)]
            contents[INDEX] = index.render(f"{_REVISIONS}/{revision}/", modules).encode()
        return cls(_prepared(contents), revision)

    @classmethod
    def unchanged(cls, folder: Path) -> PageFiles:
        """Read files that are served as they are, without paths that have their revision."""
        return cls(_prepared(dict(_read(folder))), "")

    def find(self, path: str) -> tuple[PageFile | None, bool]:
        """Return the file at a path, None if there is none, and whether what is at that path never changes.

        A path with another revision, of a page from before an update or from another node, finds the present
        file, which is not what that path stands for, so it may change.
        """
        folder, _, rest = path.partition("/")
        if folder != _REVISIONS or not self.revision:
            return self.files.get(path), False
        revision, _, name = rest.partition("/")
        return self.files.get(name), revision == self.revision


@cache
def page_files() -> PageFiles:
    """Return the files of the console; they are read once."""
    return PageFiles.from_folder()


def _prepared(contents: Mapping[str, bytes]) -> dict[str, PageFile]:
    return {name: PageFile.from_content(Path(name).suffix, content) for name, content in contents.items()}


def _is_optional(name: str) -> bool:
    """Return whether only some users need a module: texts in a language that is not the default."""
    return name.startswith(_TEXTS) and not name.startswith(_DEFAULT_TEXTS)


def _read(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in _CONTENT_TYPES and path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:32]
