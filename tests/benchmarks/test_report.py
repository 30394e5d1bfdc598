"""Medians, spread and ratios in Markdown."""

from __future__ import annotations

from benchmarks.harness.report import ratio, spread, table


def test_the_spread_is_that_of_all_rounds() -> None:
    assert spread([3000.0, 1000.0, 1500.0]) == "1,500 (1,000-3,000)"
    assert spread([0.25], ".3f") == "0.250"


def test_a_ratio_is_that_of_the_medians() -> None:
    assert ratio([1.0, 4.0, 9.0], [2.0, 2.0, 100.0]) == "2.00"
    assert ratio([1.0], [0.0]) == "-"


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["x", 1]]) == "| a | b |\n| --- | --: |\n| x | 1 |"
