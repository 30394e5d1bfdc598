"""A private PostgreSQL server in a temporary folder. Needs Debian's package ``postgresql``."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

PASSWORD = "hunter2"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.fail("PostgreSQL is not installed; install Debian's package postgresql (make test does)")
    return found[-1].parent


class Cluster:
    """A private server with its own data, port and users.

    Started by root, it runs as the user postgres, because PostgreSQL refuses to run as root.
    """

    def __init__(self) -> None:
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="kazoo_bridge-postgresql-"))
        self._as_user: dict[str, object] = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def create(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        options = [
            "--username=bridge",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        self._run("initdb", *options)
        self.start()

    def start(self) -> None:
        settings = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder}"
            " -c fsync=off -c shared_buffers=16MB"
        )
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", settings, "start")

    def freeze(self, *, whole: bool = False) -> None:
        """Stop the server's present sessions, until `thaw`; `whole`: no new session begins, either."""
        if whole:
            os.kill(self._parent, signal.SIGSTOP)
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the sessions, and the server."""
        self._signal(signal.SIGCONT)
        os.kill(self._parent, signal.SIGCONT)

    @property
    def _parent(self) -> int:
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    def _signal(self, number: int) -> None:
        parent = self._parent
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may have ended
                if f"\nPPid:\t{parent}\n" in (process / "status").read_text():
                    os.kill(int(process.name), number)

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def uri(self, name: str, password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://bridge:{password}@127.0.0.1:{self.port}/{name}"

    def new_database(self, template: str = "template1") -> str:
        """Create a database as a copy of `template`, to which no connection may be open; returns its name."""
        name = f"kazoo_{secrets.token_hex(4)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.uri("postgres").replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        # The server inherits the output: with a pipe, `run` would wait until the server ends.
        with (self._folder / "output").open("w+") as output:
            result = subprocess.run(
                command, stdout=output, stderr=output, cwd="/", check=False, **self._as_user
            )  # type: ignore[call-overload]
            output.seek(0)
            assert result.returncode == 0, output.read()
