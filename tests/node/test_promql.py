from __future__ import annotations

import pytest

from tests.node.promql import Series

SERIES = Series(
    [
        {"series": 'up{instance="a"}', "values": "1x20"},
        {"series": 'up{instance="b"}', "values": "1x9 0x10"},
        {"series": 'hits_total{instance="a",code="2xx"}', "values": "0+60x20"},
        {"series": 'hits_total{instance="a",code="5xx"}', "values": "0+30x20"},
        {"series": 'waits_bucket{le="1.0"}', "values": "0+50x20"},
        {"series": 'waits_bucket{le="3.0"}', "values": "0+100x20"},
        {"series": 'waits_bucket{le="+Inf"}', "values": "0+100x20"},
    ]
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up", [0, 1]),
        ("up == 0", [0]),
        ('up{instance="b"}', [0]),
        ('up{instance!="b"} > 0', [1]),
        ("absent(up)", []),
        ("absent(down)", [1]),
        ("hits_total", [450, 900]),
        ("increase(hits_total[10m])", [300, 600]),
        ('rate(hits_total{code=~"2xx|3xx"}[10m])', [1]),
        ("sum by (instance) (rate(hits_total[10m]))", [1.5]),
        ('sum by (code) (hits_total{code="5xx"}) > 0.5 * max by (code) (hits_total)', [450]),
        ('sum by (code) (hits_total{code="5xx"}) > 2 * max by (code) (hits_total)', []),
        ("max by (code) (hits_total) > 2 * 400", [900]),
        ("min_over_time(up[10m])", [0, 1]),
        ("(hits_total and on (instance) up == 1) > 500", [900]),
        ("hits_total > 500 or up == 0", [0, 900]),
        ("histogram_quantile(0.75, rate(waits_bucket[10m]))", [2]),
    ],
)
def test_expressions_have_the_results_of_prometheus(expression: str, expected: list[float]) -> None:
    assert sorted(SERIES.evaluate(expression, 15).values()) == pytest.approx(expected)


def test_an_alert_fires_when_its_condition_has_held_for_a_while() -> None:
    assert not SERIES.fires("up == 0", 15, 6)
    assert SERIES.fires("up == 0", 15, 5)


@pytest.mark.parametrize("expression", ["up ? 1", "up up", "sum(up)", "1 * 2"])
def test_what_is_not_supported_is_refused(expression: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        SERIES.evaluate(expression, 15)
