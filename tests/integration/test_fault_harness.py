"""The nodes of the fault suite have the default configuration, and a scenario's failure fails its test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from kazoo_bridge.config import Config, load
from tests.integration.fault_harness import DefaultNode, Scenarios


def test_a_default_node_sets_addresses_only(tmp_path: Path) -> None:
    config, default = load(str(DefaultNode(tmp_path, "amqp://u:p@127.0.0.1:5/v").config), {}), Config()
    assert config == evolve(
        default,
        amqp=evolve(default.amqp, uri="amqp://u:p@127.0.0.1:5/v"),
        storage=evolve(default.storage, uri=f"sqlite:///{tmp_path}/bridge.sqlite3"),
        http=evolve(default.http, endpoint=config.http.endpoint),
        websockets=evolve(default.websockets, endpoint=config.websockets.endpoint),
        egress=evolve(default.egress, allowed_networks=("127.0.0.0/8",)),
    )


def test_the_uri_of_the_broker_must_have_no_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        DefaultNode(tmp_path, "amqp://u:p@127.0.0.1:5/v?heartbeat=1")


def scenario(steps: list[str], failure: str) -> Iterator[None]:
    steps.append("begun")
    assert failure != "at the beginning"
    yield
    steps.append("ended")
    assert failure != "at the end"


def test_a_scenario_ends_in_its_test() -> None:
    scenarios, steps = Scenarios(), list[str]()
    scenarios.begin(scenario, steps, "")
    assert steps == ["begun"]
    scenarios.end(scenario)
    assert steps == ["begun", "ended"]


@pytest.mark.parametrize("failure", ["at the beginning", "at the end"])
def test_a_failed_scenario_fails_its_test(failure: str) -> None:
    scenarios = Scenarios()
    scenarios.begin(scenario, [], failure)
    with pytest.raises(AssertionError):
        scenarios.end(scenario)


def test_a_scenario_that_waits_twice_fails_its_test() -> None:
    scenarios = Scenarios()

    def waits_twice() -> Iterator[None]:
        yield
        yield

    scenarios.begin(waits_twice)
    with pytest.raises(AssertionError):
        scenarios.end(waits_twice)
