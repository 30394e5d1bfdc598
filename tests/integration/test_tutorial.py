"""The commands of docs/tutorial/first-hook.md, as a newcomer pastes them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.rabbitmq import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial" / "first-hook.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)

#: What needs root, or has tests of its own.
NOT_HERE = re.compile(r"make demo|apt-get install")


@pytest.mark.timeout(300)
def test_the_tutorial_works_word_for_word(tmp_path: Path, vhost_uri: str) -> None:
    [listener] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    ports = {port: str(free_port()) for port in ("8000", "5555", "8099")}
    blocks = [block for block in BLOCKS if not NOT_HERE.search(block)]
    listener = replaced(listener, {"5555": ports["5555"]})
    script = "set -euo pipefail\n" + "echo ---\n".join(blocks)
    (tmp_path / "listen.py").write_text(listener)
    script = replaced(
        script,
        {
            "amqp://guest:guest@127.0.0.1:5672/": vhost_uri,
            ". .venv/bin/activate\n": "",
            "cd first-hook\n": "cd first-hook\nmv ../listen.py .\n",
            "127.0.0.1:8000": f"127.0.0.1:{ports['8000']}",
            "127.0.0.1:8099": f"127.0.0.1:{ports['8099']}",
            "--port 8099": f"--port {ports['8099']}",
        },
    )
    folder = tmp_path / "first-hook"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "KAZOO_BRIDGE__HTTP__ENDPOINT": f"tcp:{ports['8000']}:interface=127.0.0.1",
        "KAZOO_BRIDGE__WEBSOCKETS__ENDPOINT": f"tcp:{ports['5555']}:interface=127.0.0.1",
    }
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        pytest.fail(output + log_of(folder))
    finally:
        stop_service(folder)
    assert process.returncode == 0, output + log_of(folder)
    assert output.count("ready\n") == 2, output
    assert "  hook_event = channel_create" in output
    assert "signature: valid" in output
    assert "CHANNEL_ANSWER {" in output
    assert "begun {" in output
    assert not folder.exists()


def replaced(text: str, changes: Mapping[str, str]) -> str:
    for documented, here in changes.items():
        assert documented in text, documented
        text = text.replace(documented, here)
    return text


def log_of(folder: Path) -> str:
    log = folder / "bridge.log"
    return log.read_text()[-5000:] if log.exists() else ""


def stop_service(folder: Path) -> None:
    """End the service that a failed script has left."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((folder / "bridge.pid").read_text()), signal.SIGKILL)
