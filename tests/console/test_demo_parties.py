"""The console's calls of a busy demo name the parties that are on the line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kazoo_bridge.calls.account_calls import AccountCalls
from kazoo_bridge.calls.call_state import EVENTS
from kazoo_bridge.demo import DemoOptions
from tests.demo.harness import Harness

_SCRIPT = Path(__file__).parent / "demo-parties.mjs"
_BUSY = DemoOptions(calls_per_minute=240, accounts=2, max_calls=60)
_SECONDS = 400
_STEP = 5


def demo_moments() -> list[dict[str, Any]]:
    """Return the legs of the demo's calls at many moments, as the node reports them, and who is at each."""
    demo = Harness(_BUSY, seed=7)
    accounts = {tenant.id: AccountCalls(tenant.id) for tenant in demo.tenants}
    moments: list[dict[str, Any]] = []

    def record() -> None:
        demo.settle()
        for event in demo.events:
            if event.name in EVENTS:
                account_id = event.body["Custom-Channel-Vars"]["Account-ID"]
                accounts[account_id].apply_event(event.name, event.body, demo.clock.seconds())
        demo.events.clear()
        legs = [call for account in accounts.values() for call in account.calls.values()]
        parties = {leg.id: leg.party.name for leg in demo.switchboard.calls.legs()}
        moments.append({"legs": legs, "parties": parties})

    demo.run(_SECONDS, _STEP, record)
    return moments


def test_no_call_names_a_party_that_is_not_on_the_line() -> None:
    node = shutil.which("node")
    assert node is not None, "this test needs node: `make test` installs it, or `apt-get install nodejs`"
    result = subprocess.run(
        [node, str(_SCRIPT)], input=json.dumps(demo_moments()), capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["calls"] > 500
    assert found["wrong"] == 0, found["examples"]
