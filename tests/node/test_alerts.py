"""The shipped alerting rules and the dashboard name metrics that exist, and each alert fires in its fault."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it has no types

from tests.node.promql import Series
from tests.node.test_metrics import ALL_METRICS

_ETC = Path(__file__).parents[2] / "etc"
RULES: Any = yaml.safe_load((_ETC / "alerts.yml").read_text())
ALERTS: list[Any] = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD: Any = json.loads((_ETC / "grafana-dashboard.json").read_text())
PANELS: list[Any] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

#: Series that make an alert fire, and series that do not: at least one of them for each alert.
SERIES: list[Any] = yaml.safe_load(Path(__file__).with_name("alert_series.yml").read_text())


def _known_names() -> set[str]:
    """The names of all samples."""
    endings = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
    return {name + ending for name, (kind, _) in ALL_METRICS.items() for ending in endings[kind]}


def _used_names(expression: str) -> list[str]:
    return re.findall(r"\bkazoo_bridge_(\w+)", expression.replace("kazoo_bridge.", ""))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_complete_and_its_metrics_exist(rule: Any) -> None:
    assert rule["alert"].startswith("KazooBridge")
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description"}
    used = _used_names(rule["expr"])
    assert set(used) <= _known_names()
    assert used or "rabbitmq_" in rule["expr"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_fires_in_its_faults_and_not_otherwise(rule: Any) -> None:
    since = int(rule.get("for", "0m").removesuffix("m"))
    own = [given for given in SERIES if given["alert"] == rule["alert"]]
    for given in own:
        assert Series(given["fault"]).fires(rule["expr"], 100, since)
        assert not Series(given["fine"]).fires(rule["expr"], 100)
    # Each of its conditions has a fault of its own.
    for condition in rule["expr"].split(" or "):
        assert any(Series(given["fault"]).fires(condition, 100, since) for given in own), condition


def test_there_are_series_for_no_other_alert() -> None:
    assert {given["alert"] for given in SERIES} == {rule["alert"] for rule in ALERTS}


def test_the_series_are_those_of_metrics_and_labels_that_exist() -> None:
    for given in SERIES:
        for one in (*given["fault"], *given["fine"]):
            for name in _used_names(one["series"].partition("{")[0]):
                assert name in _known_names()
                labels = set(re.findall(r"(\w+)=", one["series"])) - {"instance", "job"}
                metric = re.sub("_(total|bucket)$", "", name)
                assert labels == set(filter(None, ALL_METRICS[metric][1].split(",")))


def test_the_queue_has_an_alert_at_80_percent_of_its_bound() -> None:
    [rule] = [rule for rule in ALERTS if rule["alert"] == "KazooBridgeQueueFilling"]
    assert rule["expr"] == "kazoo_bridge_queue_bytes > 0.8 * (kazoo_bridge_queue_max_bytes > 0)"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_of_the_dashboard_shows_metrics_that_exist(panel: Any) -> None:
    expressions = [target["expr"] for target in panel["targets"]]
    assert expressions
    for expression in expressions:
        used = _used_names(expression)
        assert used
        assert set(used) <= _known_names()
        assert expression.count('instance=~"$instance"') == expression.count("{")


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (place["x"] + column, place["y"] + line)
        for place in places
        for column in range(place["w"])
        for line in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert all(column < 24 for column, _ in cells)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
