from __future__ import annotations

from pathlib import Path

from kazoo_bridge.documentation.files import API, api_files, documentation_files


def test_built_pages_are_served_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<link rel="stylesheet" href="style/x.css">')
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "page.html").write_text("<p>")
    (tmp_path / "objects.inv").write_bytes(b"")
    files = documentation_files(tmp_path)
    assert set(files.files) == {"index.html", "r/page.html"}
    assert files.files["index.html"].content == (tmp_path / "index.html").read_bytes()
    assert files.find("r/page.html") == (files.files["r/page.html"], False)


def test_without_built_pages_one_says_how_to_build_them(tmp_path: Path) -> None:
    page = documentation_files(tmp_path).files["index.html"].content.decode()
    assert "make docs" in page
    assert "unbuilt.css" in documentation_files(tmp_path).files


def test_the_page_of_the_api_is_served_by_revision() -> None:
    files = api_files()
    html = files.files["index.html"].content.decode()
    assert f'src="r/{files.revision}/app/main.js"' in html
    assert f'href="r/{files.revision}/style/all.css"' in html
    modules = {path.relative_to(API).as_posix() for path in API.rglob("*.js")}
    assert len(modules) > 3
    assert all(f'modulepreload" href="r/{files.revision}/{name}"' in html for name in modules)
