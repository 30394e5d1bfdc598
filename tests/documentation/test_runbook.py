"""The runbook has an entry for each line of `/readyz` and each alert, and for nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it has no types

from tests.documentation.building import ROOT
from tests.documentation.reasons import reasons

PAGE = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
RULES: Any = yaml.safe_load((ROOT / "etc" / "alerts.yml").read_text())

#: The first column of each row, without the names of the parts.
ENTRIES = [
    re.sub(r"^(?:degraded: )?(?:(?:bus|storage|directory|hooks|process …): )?", "", code)
    for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    for code in re.findall(r"`([^`]+)`", row)
    if code != "/readyz"
]


def pattern(text: str) -> re.Pattern[str]:
    """Return what a text matches when … stands for anything."""
    return re.compile(re.escape(text).replace("…", ".+"))


@pytest.mark.parametrize("reason", sorted(reasons()))
def test_a_reason_has_an_entry(reason: str) -> None:
    assert any(pattern(reason).search(entry) for entry in ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_a_reason(entry: str) -> None:
    assert any(pattern(reason).fullmatch(entry) for reason in reasons())


def test_the_reasons_are_found() -> None:
    found = reasons()
    assert {"the node is still starting", "no connection to …: …", "what is known serves on, but …"} <= found
    assert len(found) > 35


def test_each_alert_has_an_entry_and_no_entry_is_without_one() -> None:
    alerts = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]
    assert sorted(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == sorted(alerts)
