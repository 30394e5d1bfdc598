"""The names of contenders, and the events that they deliver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness.contenders import OurContender, make_contender, trees_of
from benchmarks.harness.events import account_id, make_event
from benchmarks.harness.folders import ROOT


def test_our_node_can_be_one_of_another_tree(tmp_path: Path) -> None:
    (tmp_path / "kazoo_bridge").mkdir()
    (tmp_path / "kazoo_bridge" / "__init__.py").touch()
    name = f"ours2@{tmp_path}"
    contender = make_contender(name, tmp_path / "work", {})
    assert isinstance(contender, OurContender)
    assert (contender.name, contender.tree) == (name, tmp_path)
    assert trees_of(["ours", name, "node"]) == {"ours": ROOT, name: tmp_path}


@pytest.mark.parametrize("name", ["theirs", "node@/tmp", "ours@/nowhere", "ours12", ""])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"no contender|has no kazoo_bridge"):
        make_contender(name, tmp_path, {})


def test_an_event_is_of_its_call_and_account_and_has_its_number() -> None:
    accounts = [account_id(0), account_id(1)]
    key, content = make_event(7, accounts, events_per_call=2)
    event = json.loads(content)
    assert key == "call.CHANNEL_CREATE.00000003-5c0a%4010%2E0%2E0%2E7"
    assert event["Call-ID"] == "00000003-5c0a@10.0.0.7"
    assert event["Custom-Channel-Vars"]["Account-ID"] == accounts[1]
    assert event["Custom-Application-Vars"] == {"crm_ticket": "bench-00000007"}
    assert 900 < len(content) < 1400
