"""What the guides on installation and releases name exists."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["install", "release"])
def test_the_guide_names_what_exists(page: str) -> None:
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text()
    files = re.findall(r"`(etc/[^`]+)`", text)
    assert [path for path in files if not (ROOT / path).is_file()] == []
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?:^ *|`)make ([a-z-]+)", text, re.MULTILINE))
    assert targets
    assert [target for target in targets if not re.search(rf"(?m)^{target}:", makefile)] == []


def test_the_copied_files_are_shipped() -> None:
    text = (ROOT / "docs" / "how-to" / "install.md").read_text()
    [commands] = re.findall(r'cd "\$\(.*config examples\)"\n(.*?)```', text, re.DOTALL)
    copied = re.findall(r"kazoo-bridge@?\.\w+", commands)
    assert sorted(copied) == sorted(
        ["kazoo-bridge.toml", "kazoo-bridge.service", "kazoo-bridge.socket", "kazoo-bridge@.service"]
    )
    assert [name for name in copied if not (ROOT / "etc" / name).is_file()] == []


def test_the_wheel_ships_all_of_etc() -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    patterns = [line for text in setup["options.data_files"].values() for line in text.split()]
    shipped = {path for pattern in patterns for path in ROOT.glob(pattern)}
    existing = {
        path for path in (ROOT / "etc").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == existing
