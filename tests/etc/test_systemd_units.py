"""The shipped units of systemd."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kazoo_bridge.config import load

ETC = Path(__file__).parents[2] / "etc"
SERVICES = ("kazoo-bridge.service", "kazoo-bridge@.service")


def values(unit: str) -> dict[str, list[str]]:
    """Return the settings of a unit with their values."""
    found: dict[str, list[str]] = {}
    for line in (ETC / unit).read_text().splitlines():
        if re.match(r"[A-Z]\w+=", line):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_hardly_exposed(unit: str) -> None:
    command = [
        "systemd-analyze",
        "security",
        "--no-pager",
        "--offline=true",
        "--threshold=20",
        str(ETC / unit),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout[-300:] + result.stderr


def test_a_service_is_watched_and_restarted_for_ever() -> None:
    unit = values("kazoo-bridge.service")
    assert unit["Type"] == ["notify"]
    assert unit["WatchdogSec"] == ["60"]
    assert unit["Restart"] == ["always"]
    assert float(unit["RestartSec"][0]) > 0
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert (
        "MemoryDenyWriteExecute" not in unit
    )  # TLS fails with it: cffi's callbacks are written, then executed


def test_the_template_differs_in_its_files_only() -> None:
    single, template = (values(unit) for unit in SERVICES)
    differing = {key for key in single | template if single.get(key) != template.get(key)}
    assert differing == {"Description", "ExecStart", "StateDirectory", "WorkingDirectory"}
    for key in differing - {"Description"}:
        assert "%i" in template[key][0]


def test_the_endpoints_of_the_socket_unit_are_valid() -> None:
    comment = (ETC / "kazoo-bridge.socket").read_text()
    endpoints = re.findall(r'"((?:haproxy:)?systemd:[^"]+)"', comment)
    assert len(endpoints) == 3
    for endpoint in endpoints:
        load(None, {"KAZOO_BRIDGE__HTTP__ENDPOINT": endpoint})
    assert len(values("kazoo-bridge.socket")["ListenStream"]) == 2
