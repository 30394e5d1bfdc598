"""The commands of docs/how-to/back-up-and-move.md: a copy, and the way back to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.documentation.building import ROOT

PAGE = (ROOT / "docs" / "how-to" / "back-up-and-move.md").read_text()
BACK_UP, RESTORE = (
    re.sub("^ +", "", block, flags=re.M) for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S)
)

ACCOUNT, LATER = "a" * 32, "b" * 32


def test_a_copy_brings_back_what_it_has(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(f'[storage]\nuri = "sqlite:///{tmp_path}/kazoo-bridge.sqlite3"\n')

    def shell(script: str) -> str:
        for documented, here in {
            "/etc/kazoo-bridge/kazoo-bridge.toml": str(config),
            "/var/lib/kazoo-bridge": str(tmp_path),
            "-o kazoo-bridge -g kazoo-bridge ": "",  # only root may
        }.items():
            script = script.replace(documented, here)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
        command = ["bash", "-euc", f'bridge() {{ kazoo-bridge --config {config} "$@"; }}\n{script}']
        return subprocess.run(
            command,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout

    # PostgreSQL has its own program.
    back_up = "".join(line for line in BACK_UP.splitlines(keepends=True) if not line.startswith("pg_dump"))
    shell(f"bridge account create --id {ACCOUNT}\n{back_up}bridge account create --id {LATER}")
    found = shell(f"{RESTORE}bridge account list")
    assert ACCOUNT in found
    assert LATER not in found
    assert {path.name for path in (tmp_path / "damaged").iterdir()} >= {"kazoo-bridge.sqlite3"}
