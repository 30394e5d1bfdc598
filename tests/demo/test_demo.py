from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import requests


def test_the_demonstration(tmp_path: Path) -> None:
    command = [Path(sys.executable).parent / "kazoo-bridge", "demo"]
    environment = {**os.environ, "KAZOO_BRIDGE__HTTP__ENDPOINT": "tcp:0:interface=127.0.0.1"}
    demo = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    try:
        said = ""
        for line in demo.stdout:
            said += line
            if "hook received: channel_create" in line:
                break
        found = re.search(r"curl -H 'X-Auth-Token: (\w+)' (\S+)", said)
        assert found, said
        hooks = requests.get(found[2], headers={"X-Auth-Token": found[1]}, timeout=10).json()["data"]
        assert [hook["hook"] for hook in hooks] == ["all"]
        demo.send_signal(signal.SIGINT)
        rest = demo.communicate(timeout=30)[0]
        assert demo.returncode == 0, rest
        assert "Traceback" not in said + rest
        assert list(tmp_path.iterdir()) == []
    finally:
        demo.kill()
        demo.wait()
