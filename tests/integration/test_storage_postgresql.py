"""The store suite on a PostgreSQL server of its own, in a temporary folder. Needs Debian's package ``postgresql``."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_twisted
from sqlalchemy import Connection, Engine, inspect, text
from twisted.internet import reactor

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log, engine, migrate
from kazoo_bridge.storage.database import Database

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
if "store_suite" not in sys.modules:
    pytest.register_assert_rewrite("store_suite", "attempt_suite", "delivery_suite")
from tests.storage.attempt_suite import *  # noqa: F403
from tests.storage.delivery_suite import *  # noqa: F403
from tests.storage.store_suite import *  # noqa: F403

PASSWORD = "hunter2"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.fail("PostgreSQL is not installed; install Debian's package postgresql (make test does)")
    return found[-1].parent


class Cluster:
    """A private server: its own data, port and users. As root it runs as the user postgres, because PostgreSQL refuses root."""

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
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off -c shared_buffers=16MB"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", settings, "start")

    def freeze(self) -> None:
        """Let the sessions that there are answer nothing, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        parent = (self._folder / "data" / "postmaster.pid").read_text().split()[0]
        for one in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                if f"\nPPid:\t{parent}\n" in (one / "status").read_text():
                    os.kill(int(one.name), number)

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def uri(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://bridge:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        name = f"kazoo_{secrets.token_hex(4)}"
        with psycopg.connect(self.uri("postgres").replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        # The server inherits what is open, so its output must not be a pipe that somebody waits for.
        with (self._folder / "output").open("w+") as output:
            result = subprocess.run(
                command, stdout=output, stderr=output, cwd="/", check=False, **self._as_user
            )  # type: ignore[call-overload]
            output.seek(0)
            assert result.returncode == 0, output.read()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    cluster.create()
    yield cluster
    cluster.remove()


@pytest.fixture
def storage_uri(cluster: Cluster) -> str:
    return cluster.uri(cluster.new_database())


@pytest_twisted.ensureDeferred
async def test_a_wrong_password_is_not_repeated(cluster: Cluster) -> None:
    database = Database(reactor, cluster.uri("postgres", "sesame"))
    with pytest.raises(StorageUnavailable, match="password authentication failed") as caught:
        await database.migrate()
    assert "sesame" not in str(caught.value)
    await database.close()


@pytest_twisted.ensureDeferred
async def test_a_server_that_restarts_is_found_again(cluster: Cluster, storage_uri: str) -> None:
    database = Database(reactor, storage_uri)
    await database.migrate()
    assert await database.check(10) is None
    cluster.stop()
    with pytest.raises(StorageUnavailable, match=r"at 127\.0\.0\.1 refused"):
        await database.read(change_log.position)
    assert "refused" in (await database.check(10) or "")
    cluster.start()
    assert await database.check(10) is None
    await database.write(lambda connection: change_log.record(connection, "hook", ["x"], 1.0))
    assert await database.read(change_log.position) == 1
    await database.close()


def test_changes_are_numbered_in_the_order_they_are_committed(storage_uri: str) -> None:
    """A reader that has seen a change has seen every change with a smaller number."""
    opened = engine.open_engine(storage_uri)
    migrate.upgrade(opened)
    first_has_number, first_may_commit = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        change_log.record(connection, "hook", ["first"], 1.0)
        first_has_number.set()
        assert first_may_commit.wait(10)

    first = threading.Thread(target=lambda: engine.in_transaction(opened, slow, writing=True))
    first.start()
    assert first_has_number.wait(10)
    second = threading.Thread(
        target=lambda: engine.in_transaction(
            opened, lambda c: change_log.record(c, "hook", ["second"], 1.0), writing=True
        )
    )
    second.start()
    _until_one_waits(opened)
    assert engine.in_transaction(
        opened, lambda c: change_log.since(c, 0), writing=False
    ) == change_log.ChangeBatch(0)
    first_may_commit.set()
    first.join(10)
    second.join(10)
    seen = engine.in_transaction(opened, lambda c: change_log.since(c, 0), writing=False).changes
    assert seen == (("hook", "first"), ("hook", "second"))
    opened.dispose()


def test_one_process_migrates_while_others_wait(storage_uri: str) -> None:
    opened = engine.open_engine(storage_uri)
    migrating = threading.Thread(target=migrate.upgrade, args=[opened])
    with opened.begin() as another:
        another.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": migrate.MIGRATION_LOCK})
        migrating.start()
        _until_one_waits(opened)
        assert inspect(another).get_table_names() == []
    migrating.join(10)
    assert engine.in_transaction(opened, change_log.position, writing=False) == 0
    opened.dispose()


def _until_one_waits(opened: Engine) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    deadline = time.monotonic() + 10
    while not engine.in_transaction(opened, lambda connection: connection.scalar(waiting), writing=False):
        assert time.monotonic() < deadline, "the second writer did not wait for the first"
        time.sleep(0.01)


def test_a_standby_is_reported_as_unavailable(storage_uri: str) -> None:
    opened = engine.open_engine(storage_uri)

    def write_while_read_only(connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql("CREATE TABLE x (y int)")

    with pytest.raises(StorageUnavailable, match="read-only transaction"):
        engine.in_transaction(opened, write_while_read_only, writing=True)
    opened.dispose()
