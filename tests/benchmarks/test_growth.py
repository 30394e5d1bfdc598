"""Foreign hooks are rows like that of the own hook; tables compare with the first row."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from benchmarks.growth import GrowingContender, Size, results_table
from benchmarks.harness.folders import ROOT
from benchmarks.harness.node import BenchmarkNode
from benchmarks.latency import Delays


def test_foreign_hooks_differ_from_the_own_one_in_id_account_and_uri(tmp_path: Path) -> None:
    contender = GrowingContender(tmp_path, "hooks", 6)
    storage = tmp_path / "bridge.sqlite3"
    contender.nodes = [BenchmarkNode(tmp_path, ROOT, "embedded:", storage=storage, more_config={})]
    own = {"name": "own", "uri": "http://127.0.0.1/", "hook": "channel_create"}
    with sqlite3.connect(storage) as database:
        database.execute("CREATE TABLE hooks (sequence INTEGER PRIMARY KEY, id, account_id, document)")
        database.execute("INSERT INTO hooks VALUES (1, 'own', 'mine', ?)", [json.dumps(own)])
    contender.insert_hooks()
    with sqlite3.connect(storage) as database:
        rows = database.execute("SELECT id, account_id, document FROM hooks").fetchall()
    documents = [json.loads(row[2]) for row in rows]
    assert len({row[0] for row in rows}) == len({one["uri"] for one in documents}) == 7
    assert len({row[1] for row in rows}) == 3
    assert {one["hook"] for one in documents} == {"channel_create"}


def test_memory_is_that_of_one_more(tmp_path: Path) -> None:
    delays = Delays(1.0, 2.0, 3.0, 4.0, 0.25, 0)
    text = results_table(
        [Size("hooks", 10, 1.0, 0.5, 1_000_000, delays), Size("hooks", 1010, 2.0, 1.5, 3_000_000, delays)],
        rate=500,
    )
    assert text.splitlines()[-1] == "| 1,010 | 2.0 | 1.5 | 3 | 2,000 | 0.500 | 1.0 | 3.0 | 4.0 | 0 |  |"
