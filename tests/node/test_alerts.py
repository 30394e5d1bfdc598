"""The shipped alerting rules name metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it has no types

from tests.node.test_metrics import ALL_METRICS

RULES: Any = yaml.safe_load((Path(__file__).parents[2] / "etc/alerts.yml").read_text())
ALERTS: list[Any] = [rule for group in RULES["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_complete_and_its_metrics_exist(rule: Any) -> None:
    assert rule["alert"].startswith("KazooBridge")
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description"}
    known = {f"{name}_total" if kind == "counter" else name for name, (kind, _) in ALL_METRICS.items()}
    used = re.findall(r"\bkazoo_bridge_(\w+)", rule["expr"].replace("kazoo_bridge.", ""))
    assert set(used) <= known
    assert used or "rabbitmq_" in rule["expr"]


def test_the_queue_has_an_alert_at_80_percent_of_its_bound() -> None:
    [rule] = [rule for rule in ALERTS if rule["alert"] == "KazooBridgeQueueFilling"]
    assert rule["expr"] == "kazoo_bridge_queue_bytes > 0.8 * (kazoo_bridge_queue_max_bytes > 0)"
