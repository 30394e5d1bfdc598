"""The pages that ``make docs`` builds: without warnings, and fit for the policy that they are served with."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from kazoo_bridge.console.files import PageFiles
from tests.documentation.building import ROOT, build

pytestmark = pytest.mark.timeout(300)


class PageParser(HTMLParser):
    """Collects the links, ids, and what the policy forbids, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.forbidden: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.loaded += [values[name] for name in ("src", "href") if name in values and tag != "a"]
        self.forbidden += [name for name in values if name == "style" or name.startswith("on")]
        self._in_script = tag in ("script", "style")
        self.forbidden += ["style"] if tag == "style" else []

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.forbidden.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("docs"))


@pytest.fixture(scope="module")
def parsed(pages: Path) -> dict[str, PageParser]:
    return {
        path.relative_to(pages).as_posix(): PageParser(path.read_text()) for path in pages.rglob("*.html")
    }


def test_every_text_is_a_page(parsed: dict[str, PageParser]) -> None:
    sources = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
    }
    assert sources == parsed.keys() - {"search.html"}


def test_all_links_and_anchors_exist(pages: Path, parsed: dict[str, PageParser]) -> None:
    broken = []
    for name, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme == "https", link
                continue
            target = (
                (pages / name).parent.joinpath(unquote(parts.path)).resolve() if parts.path else pages / name
            )
            path = target.relative_to(pages.parent.resolve()).as_posix()
            if path in ("pages/api", "console"):
                continue  # the service serves these
            found = parsed.get(path.removeprefix("pages/"))
            if found is None or (parts.fragment and unquote(parts.fragment) not in found.ids):
                broken.append((name, link))
    assert broken == []


def test_a_page_loads_only_files_that_the_node_serves(pages: Path, parsed: dict[str, PageParser]) -> None:
    served = PageFiles.unchanged(pages).files
    for name, page in parsed.items():
        assert page.forbidden == [], name
        for loaded in page.loaded:
            path = (pages / name).parent.joinpath(urlsplit(loaded).path).resolve()
            assert path.relative_to(pages.resolve()).as_posix() in served, (name, loaded)


@pytest.mark.parametrize(
    "path", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "changelog.d/README.md"], ids=str
)
def test_links_of_other_texts_lead_to_files_and_headings(path: str) -> None:
    text = (ROOT / path).read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for link in links:
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / path).parent / name if name else ROOT / path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
            }


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 80
