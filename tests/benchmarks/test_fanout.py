"""Results of websockets: the bursts compared by their medians."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fanout import Fanout, make_event, make_server, results_table


def test_bursts_are_compared_with_the_baseline() -> None:
    slow = Fanout(1.0, 2.0, 3000.0, 100.0, 8.0, 1.0, 2.0, 3.0, 0.25)
    text = results_table({"ours": [slow._replace(rate=250.0, cost=2.0)], "node": [slow]}, "node")
    assert text.splitlines()[2].startswith("| ours | 250 | 2.50 | 2.00 | 0.25 | 1.0 | 2.0 | 3.0 | 0.25 |")


def test_an_event_says_its_number_and_its_time() -> None:
    assert make_event(4)["Number"] == 4
    assert make_event(4)["Sent"] < make_event(4)["Sent"]


def test_other_servers_are_refused() -> None:
    with pytest.raises(ValueError, match="no contender"):
        make_server("asyncio", Path(), "")
