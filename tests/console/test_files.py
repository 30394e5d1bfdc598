from __future__ import annotations

from pathlib import Path

from kazoo_bridge.console.files import page_files


def test_only_files_of_known_types_are_served(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>")
    (tmp_path / "notes.txt").write_text("secret")
    (tmp_path / ".hidden").write_text("secret")
    assert list(page_files(tmp_path)) == ["page.html"]
