"""Uses the installed Debian package as an administrator would; runs with nothing but the package and Python.

`debian_package_check.sh` runs it as root in a bare Debian with a network of its own.
"""

from __future__ import annotations

import gzip
import json
import os
import pwd
import re
import shlex
import signal
import socket
import stat
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

CONFIG = Path("/etc/kazoo-bridge/kazoo-bridge.toml")
DATA = Path("/var/lib/kazoo-bridge")
UNIT = Path("/lib/systemd/system/kazoo-bridge.service")
NOTIFY = DATA / "notify"
TIMEOUT = 120
RECEIVER = 8099

received: list[bytes] = []
arrived = threading.Event()


class Receiver(BaseHTTPRequestHandler):
    """Keeps the bodies of all requests."""

    def do_POST(self) -> None:
        received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        arrived.set()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def main() -> None:
    """Check the package; raises `AssertionError` for what is wrong."""
    _check_files()
    _edit_two_lines()
    command("config", "check")
    account = command("account", "create", "--name", "A")
    token = command("token", "create", "--account", account)
    receiver = HTTPServer(("127.0.0.1", RECEIVER), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    node = _start()
    hook = {
        "name": "test",
        "uri": f"http://127.0.0.1:{RECEIVER}/",
        "hook": "channel_create",
        "format": "json",
    }
    created = _rest("PUT", f"/v2/accounts/{account}/webhooks", token, hook)
    _rest("POST", f"/v2/accounts/{account}/webhooks/{created['id']}/test", token, {})
    assert arrived.wait(TIMEOUT), "the receiver has got no event"
    print("received:", received[0][:100])
    node.send_signal(signal.SIGTERM)
    assert node.wait(TIMEOUT) == 0
    assert not list(Path("/usr/lib/kazoo-bridge").rglob("*.pyc.*"))
    receiver.shutdown()


def _check_files() -> None:
    user = pwd.getpwnam("kazoo-bridge")
    config = CONFIG.stat()
    assert (config.st_uid, config.st_gid, stat.S_IMODE(config.st_mode)) == (0, user.pw_gid, 0o640)
    data = DATA.stat()
    assert (data.st_uid, stat.S_IMODE(data.st_mode)) == (user.pw_uid, 0o700)
    assert UNIT.exists()
    assert Path("/etc/systemd/system/multi-user.target.wants/kazoo-bridge.service").is_symlink()
    manual = Path("/usr/share/man/man1/kazoo-bridge.1.gz")
    if manual.exists():  # a minimal system may leave manual pages out
        assert b"account create" in gzip.decompress(manual.read_bytes())


def _edit_two_lines() -> None:
    text = CONFIG.read_text()
    for key, value in (("allowed_networks", '["127.0.0.0/8"]'), ("self_healing", "false")):
        text, count = re.subn(rf"(?m)^{key} = \S+", f"{key} = {value}", text)
        assert count == 1, key
    CONFIG.write_text(text)


def command(*arguments: str) -> str:
    """Run ``kazoo-bridge`` as root and return the last line of its output."""
    done = subprocess.run(
        ["kazoo-bridge", "--config", str(CONFIG), *arguments], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout.splitlines()[-1]


def _start() -> subprocess.Popen[bytes]:
    """Start the service like its unit, and wait until it reports that it is ready."""
    unit = dict(
        line.split("=", 1)
        for line in UNIT.read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    user = pwd.getpwnam(unit["User"])
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(NOTIFY))
    os.chown(NOTIFY, user.pw_uid, user.pw_gid)
    notices.settimeout(TIMEOUT)
    node = subprocess.Popen(
        shlex.split(unit["ExecStart"]),
        cwd=unit["WorkingDirectory"],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        umask=int(unit["UMask"], 8),
        env={"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(NOTIFY)},
    )
    assert notices.recv(4096).startswith(b"READY=1\n")
    NOTIFY.unlink()
    return node


def _rest(verb: str, path: str, token: str, data: Any) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:8000{path}",
        json.dumps({"data": data}).encode(),
        {"Content-Type": "application/json", "X-Auth-Token": token},
        method=verb,
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.load(answer)["data"]


if __name__ == "__main__":
    main()
