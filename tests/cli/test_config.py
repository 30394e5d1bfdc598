from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kazoo_bridge.cli import main
from kazoo_bridge.cli.config import mask_secret
from tests.cli.harness import CliHarness
from tests.plugins.conftest import folder

__all__ = ["folder"]

EXAMPLE = (Path(__file__).parents[2] / "etc" / "examples" / "queue_category.py").read_text()

#: The module; the package has a command of its name.
config: Any = importlib.import_module("kazoo_bridge.cli.config")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        ("embedded:", "embedded:"),
        ("some-api-key", "***"),
        ("sqlite:///kazoo-bridge.sqlite3", "sqlite:///kazoo-bridge.sqlite3"),
        ("sqlite:////srv/a@b.sqlite3", "sqlite:////srv/a@b.sqlite3"),
        ("amqp://u:hunter2@a/v,amqp://u:hunter2@b", "amqp://***@a/v,amqp://***@b"),
        ("postgresql+psycopg://u:h@unter/2@h/d", "postgresql+psycopg://***@h/d"),
        ("postgresql+psycopg://u:hunt,er2@h/d", "postgresql+psycopg://***@h/d"),
        (
            "postgresql+psycopg://h/d?sslmode=require&password=hunter2&sslpassword=x",
            "postgresql+psycopg://h/d?sslmode=require&password=***&sslpassword=***",
        ),
    ],
)
def test_secrets_are_masked(value: str, shown: str) -> None:
    assert mask_secret(value) == shown


def test_the_effective_configuration_is_shown(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(
        '[amqp]\nuri = "amqp://u:hunter2@broker/"\nzones = ["amqp://u:hunter2@zone/"]\nprefetch = 7\n'
        '[crossbar]\nuri = "http://host:8000/v2"\napi_key = "hunter2"\n'
    )
    file.chmod(0o600)
    monkeypatch.setenv("KAZOO_BRIDGE__WEBHOOKS__SOURCE", "storage")
    monkeypatch.setenv("KAZOO_BRIDGE__AMQP__PREFETCH", "8")
    text = cli.run("--config", str(file), "config", "show").stdout
    assert "hunter2" not in text
    shown = tomllib.loads(text)
    assert shown["amqp"]["uri"] == "amqp://***@broker/"
    assert shown["amqp"]["zones"] == ["amqp://***@zone/"]
    assert shown["amqp"]["prefetch"] == 8
    assert shown["crossbar"]["api_key"] == "***"
    assert shown["http"]["endpoint"] == "tcp:8000:interface=127.0.0.1"
    assert json.loads(cli.run("--config", str(file), "config", "show", "--json").stdout) == shown
    assert list(tmp_path.iterdir()) == [file]


def test_a_wrong_configuration_is_not_shown(cli: CliHarness, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[nonsense]\n")
    assert "nonsense" in cli.error("--config", "bad.toml", "config", "show")


def test_the_examples_are_where_it_says(cli: CliHarness) -> None:
    folder = Path(cli.run("config", "examples").stdout.strip())
    assert {"kazoo-bridge.toml", "kazoo-bridge.service", "haproxy.cfg"} <= {
        path.name for path in folder.iterdir()
    }


def test_an_installed_wheel_has_the_examples_in_its_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        config, "__file__", str(tmp_path / "lib" / "site-packages" / "kazoo_bridge" / "cli" / "x.py")
    )
    monkeypatch.setattr(config.sysconfig, "get_path", {"data": str(tmp_path)}.get)
    assert config.examples_folder() is None
    folder = tmp_path / "share" / "kazoo-bridge"
    folder.mkdir(parents=True)
    (folder / "kazoo-bridge.toml").touch()
    assert config.examples_folder() == folder


def plugins_of(folder: Path, name: str, text: str) -> None:
    """Write one plugin, and a configuration that names its folder."""
    (folder / "plugins").mkdir()
    (folder / "plugins" / name).write_text(text)
    (folder / "plugins" / name).chmod(0o644)
    (folder / "plugins").chmod(0o755)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("kb_test_check_broken.py", "1 / 0", "it cannot be imported: ZeroDivisionError: division by zero"),
        (
            "kb-test-check.py",
            EXAMPLE,
            "its name must be letters, digits and _, rename it to kb_test_check.py",
        ),
        (
            "kb_test_check_newer.py",
            EXAMPLE.replace('name = "queue"', 'name = "q"; api_version = 99'),
            "api_version",
        ),
    ],
)
def test_plugins_that_are_left_out_are_errors(
    cli: CliHarness,
    tmp_path: Path,
    name: str,
    text: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
) -> None:
    plugins_of(tmp_path, name, text)
    monkeypatch.setenv("KAZOO_BRIDGE__PLUGINS__PATH", str(folder / "plugins"))
    error = cli.error("config", "check")
    assert error.startswith("Error: plugins.path: event category ")
    assert reason in error


def test_mistakes_in_plugins_that_work_are_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: CliHarness, folder: Path
) -> None:
    modifiers = 'modifiers={"status": {"itmes": ["a"]}}, samples='
    plugins_of(tmp_path, "kb_test_check_mistyped.py", EXAMPLE.replace("samples=", modifiers, 1))
    monkeypatch.setenv("KAZOO_BRIDGE__PLUGINS__PATH", str(tmp_path / "plugins"))
    result = CliRunner().invoke(main, ["config", "check"])
    assert (result.exit_code, result.stdout) == (0, "configuration is fine\n")
    assert "did you mean 'items'?" in result.stderr
