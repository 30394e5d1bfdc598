from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import requests

_FREE_PORT = "tcp:0:interface=127.0.0.1"


def test_the_demo_prints_its_accounts_and_webhooks_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).parent / "kazoo-bridge"),
        "demo",
        "--calls-per-minute",
        "60",
        "--accounts",
        "3",
    ]
    environment = {
        **os.environ,
        "KAZOO_BRIDGE__HTTP__ENDPOINT": _FREE_PORT,
        "KAZOO_BRIDGE__WEBSOCKETS__ENDPOINT": _FREE_PORT,
    }
    demo = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert demo.stdout is not None
    try:
        output = ""
        for line in demo.stdout:
            output += line
            if "hook received: channel_create" in output and "pivot: " in line:
                break
        found = re.search(r"curl -H 'X-Auth-Token: (\w+)' (\S+)", output)
        assert found, output
        hooks = requests.get(found[2], headers={"X-Auth-Token": found[1]}, timeout=10).json()["data"]
        assert [hook["hook"] for hook in hooks] == ["all"]
        url = re.fullmatch(r"(http://[\d.:]+)/v2/accounts/(\w{32})/webhooks", found[2])
        assert url, found[2]
        address, reseller_id = url.groups()
        assert f"console  {address}/console/" in output
        children = requests.get(
            f"{address}/v2/accounts/{reseller_id}/descendants", headers={"X-Auth-Token": found[1]}, timeout=10
        )
        keys = re.findall(r"account  (\w{32})\n  token    (\w+)\n  api key  (\w+)", output)
        assert keys[0][0] == reseller_id
        assert len(children.json()["data"]) == 2
        assert keys[1][0] in {child["id"] for child in children.json()["data"]}
        login = requests.put(
            f"{address}/v2/api_auth", json={"data": {"api_key": keys[1][2]}}, timeout=10
        ).json()
        assert login["data"]["account_id"] == keys[1][0]
        users = requests.get(
            f"{address}/v2/accounts/{keys[1][0]}/users", headers={"X-Auth-Token": found[1]}, timeout=10
        ).json()["data"]
        assert sorted(user["extensions"][0] for user in users) == [
            str(number) for number in range(2001, 2009)
        ]
        pivots = f"{address}/v2/accounts/{reseller_id}/pivots"
        headers = {"X-Auth-Token": found[1]}
        (point,) = requests.get(pivots, headers=headers, timeout=10).json()["data"]
        assert point["name"] == "front-desk"
        asked = requests.get(f"{pivots}/{point['id']}/requests", headers=headers, timeout=10).json()["data"]
        assert asked[0]["result"] == "no_client"
        assert re.search(r"pivot: .*: rings .* \(2001\)", output)
        demo.send_signal(signal.SIGINT)
        rest = demo.communicate(timeout=30)[0]
        assert demo.returncode == 0, rest
        assert "Traceback" not in output + rest
        assert list(tmp_path.iterdir()) == []
    finally:
        demo.kill()
        demo.wait()
