from __future__ import annotations

import gzip
import re
from pathlib import Path

from kazoo_bridge.console.files import PageFiles

INDEX = """<!doctype html>
  <head>
    <link rel="icon" href="icon.svg">
    <link rel="stylesheet" href="style/first.css">
    <link rel="stylesheet" href="style/second.css">
    <script type="module" src="app/main.js"></script>
  </head>
"""


def write_page(folder: Path) -> None:
    """Write a small page."""
    for name, content in {
        "index.html": INDEX,
        "icon.svg": "<svg/>",
        "app/main.js": "\n",
        "style/first.css": "a{}" * 100,
        "style/second.css": "b{}\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)


def test_only_files_of_known_types_are_served(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>")
    (tmp_path / "notes.txt").write_text("secret")
    (tmp_path / ".hidden").write_text("secret")
    assert list(PageFiles.from_folder(tmp_path).files) == ["page.html"]


def test_the_page_names_its_files_by_their_revision(tmp_path: Path) -> None:
    write_page(tmp_path)
    page = PageFiles.from_folder(tmp_path)
    html = page.files["index.html"].content.decode()
    assert f'src="r/{page.revision}/app/main.js"' in html
    assert 'href="icon.svg"' in html
    file, is_permanent = page.find(f"r/{page.revision}/app/main.js")
    assert (file, is_permanent) == (page.files["app/main.js"], True)
    assert page.find("app/main.js") == (file, False)
    assert page.find("r/other/app/main.js") == (file, False)
    assert page.find(f"r/{page.revision}/app/none.js")[0] is None


def test_the_revision_changes_with_the_content_and_the_names(tmp_path: Path) -> None:
    write_page(tmp_path)
    revisions = {PageFiles.from_folder(tmp_path).revision, PageFiles.from_folder(tmp_path).revision}
    (tmp_path / "app" / "main.js").write_text("1;\n")
    revisions.add(PageFiles.from_folder(tmp_path).revision)
    (tmp_path / "app" / "main.js").rename(tmp_path / "app" / "other.js")
    revisions.add(PageFiles.from_folder(tmp_path).revision)
    assert len(revisions) == 3


def test_the_style_sheets_are_one_file_in_their_order(tmp_path: Path) -> None:
    write_page(tmp_path)
    style = PageFiles.from_folder(tmp_path).files["style/all.css"]
    assert style.content.decode() == "a{}" * 100 + "b{}\n"
    assert style.gzip is not None
    assert gzip.decompress(style.gzip) == style.content
    assert len(style.gzip) < len(style.content)


def test_what_compression_does_not_make_smaller_is_not_compressed(tmp_path: Path) -> None:
    write_page(tmp_path)
    (tmp_path / "font.woff2").write_bytes(b"a" * 1000)
    files = PageFiles.from_folder(tmp_path).files
    assert files["app/main.js"].gzip is None
    assert files["font.woff2"].gzip is None


def test_little_is_loaded_before_the_first_paint_and_the_sign_in() -> None:
    """At 400 kbit/s and 400 ms, 30 kB after two round trips paint within 1.5 s, and 60 kB in 3 s."""
    page = PageFiles.from_folder()

    def size(name: str) -> int:
        file = page.files[name]
        return len(file.gzip or file.content)

    first = sum(map(size, ("index.html", "style/all.css", "app/early-appearance.js")))
    assert 1_000 < first < 30_000
    names = re.findall(r'rel="modulepreload" href="r/\w+/([^"]+)"', page.files["index.html"].content.decode())
    needed = names[: names.index("app/console.js")]
    assert {"app/views/sign-in.js", "app/strings/en/shell.js"} <= set(needed)
    assert "app/strings/de.js" not in names
    assert first + sum(map(size, needed)) < 60_000
