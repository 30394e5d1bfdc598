from __future__ import annotations

import pytest

from kazoo_bridge.demo import DemoOptions, runner
from tests.cli.harness import CliHarness


def test_the_demo_is_run_with_the_configuration_and_the_options(
    cli: CliHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str | None, DemoOptions]] = []
    monkeypatch.setattr(runner, "main", lambda *given: started.append(given))
    cli.run("--config", "x.toml", "demo")
    cli.run("demo", "--calls-per-minute", "90", "--accounts", "6", "--max-calls", "9", "--seed", "5")
    assert started == [("x.toml", DemoOptions()), (None, DemoOptions(90.0, 6, 9, 5))]


@pytest.mark.parametrize(
    ("option", "text"),
    [
        *[("--calls-per-minute", text) for text in ("nan", "inf", "0", "true", "1e400")],
        ("--accounts", "1"),
        ("--accounts", "21"),
        ("--max-calls", "0"),
        ("--seed", "x"),
    ],
)
def test_invalid_options(cli: CliHarness, option: str, text: str) -> None:
    assert f"Invalid value for '{option}'" in cli.error("demo", option, text, exit_code=2)
