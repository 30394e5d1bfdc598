"""The image and the compose file, as far as they can be checked without an engine."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it has no types
from click.testing import CliRunner

from kazoo_bridge.cli import main as kazoo_bridge
from kazoo_bridge.config import load

ROOT = Path(__file__).parents[2]
ETC = ROOT / "etc"
COMPOSE: Any = yaml.safe_load((ETC / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]

#: The instructions of the image; lines that end with a backslash are continued.
INSTRUCTIONS = [
    (line.split()[0], line.partition(" ")[2])
    for line in (ETC / "Containerfile").read_text().replace("\\\n", "").splitlines()
    if line and not line.startswith("#")
]


def arguments(name: str) -> list[str]:
    return [text for instruction, text in INSTRUCTIONS if instruction == name]


def test_everything_that_is_copied_exists() -> None:
    copied = [shlex.split(text) for text in arguments("COPY")]
    from_checkout = [words for words in copied if not words[0].startswith("--from=")]
    paths = [word for words in from_checkout for word in words[:-1] if not word.startswith("--")]
    assert {"kazoo_bridge", "twisted", "etc", "setup.cfg", "pyproject.toml"} <= set(paths)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_image_runs_the_service_without_privileges() -> None:
    assert arguments("USER") == ["kazoo-bridge"]
    [command] = [json.loads(text) for text in arguments("CMD") if text.startswith("[")]
    unit = (ETC / "kazoo-bridge.service").read_text()
    assert "/bin/" + " ".join(command) in unit
    assert not any("latest" in text or ":" not in text for text in arguments("FROM"))


def test_the_images_ports_are_those_of_its_configuration() -> None:
    config = load(str(ETC / "container.toml"), {})
    ports = [re.findall(r"tcp:(\d+)", part.endpoint)[0] for part in (config.http, config.websockets)]
    assert arguments("EXPOSE") == [" ".join(ports)]
    assert [published.rpartition(":")[2] for published in SERVICES["bridge"]["ports"]] == ports
    assert all(published.startswith("127.0.0.1:") for published in SERVICES["bridge"]["ports"])


@pytest.mark.parametrize("name", ["bridge", "demo"])
def test_the_environment_is_a_valid_configuration(name: str) -> None:
    environment = {
        key: re.sub(r"\$\{PASSWORD[^}]*\}", "secret", value)
        for key, value in SERVICES[name]["environment"].items()
    }
    config = load(str(ETC / "container.toml"), environment)
    hosts = (config.amqp.uri.partition("@")[2], config.storage.uri.partition("@")[2])
    assert [re.split("[:/]", host)[0] for host in hosts] == ["rabbitmq", "postgres"]
    assert set(SERVICES[name]["depends_on"]) == {"rabbitmq", "postgres"} <= SERVICES.keys()


def test_the_demos_command_exists() -> None:
    program, *rest = SERVICES["demo"]["command"]
    assert program == "kazoo-bridge"
    assert CliRunner().invoke(kazoo_bridge, [*rest, "--help"]).exit_code == 0


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
def test_a_service_names_what_exists(service: dict[str, Any]) -> None:
    build = service.get("build")
    if build:
        assert (ETC / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()
    assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= COMPOSE["volumes"].keys()
    for dependency in service.get("depends_on", {}):
        assert "healthcheck" in SERVICES[dependency]


def test_no_password_is_shipped() -> None:
    for service in SERVICES.values():
        for key, value in service["environment"].items():
            if "PASS" in key or "URI" in key:
                assert "${PASSWORD" in value
