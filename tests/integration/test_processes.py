"""A node of several processes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.fault_harness import ACCOUNT, FaultyReceiver, Publisher
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.test_nodes import Broker
from tests.integration.web_receiver import WebReceiver

pytestmark = pytest.mark.timeout(180)

PROCESSES = 2


class SeveralProcesses(NodeProcess):
    """A node of several processes, with one account."""

    def __init__(self, folder: Path, uri: str) -> None:
        super().__init__(folder, uri, f"[node]\nprocesses = {PROCESSES}\n")
        self.command("account", "create", "--id", ACCOUNT)
        self.token = self.command("token", "create", "--account", ACCOUNT)

    def readiness(self) -> str:
        """Return the text of ``/readyz``."""
        return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).text

    def start_all(self, **options: bool) -> None:
        """Start, and wait until all processes consume events."""
        self.start(**options)
        eventually(lambda: self.readiness() == "ready\n", "all processes", 60)

    def workers(self) -> list[int]:
        """Return the ids of the processes of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(one) for one in children.split()]

    def metric(self, name: str) -> dict[str, float]:
        """Return the sum of a metric's samples by process."""
        sums: dict[str, float] = {}
        text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text
        for metric in text_string_to_metric_families(text):
            for sample in metric.samples:
                if sample.name == name:
                    process = sample.labels["process"]
                    sums[process] = sums.get(process, 0) + sample.value
        return sums

    def add_hook(self, url: str) -> None:
        hook = {"name": "n", "uri": url, "hook": "channel_create", "format": "json"}
        answer = self.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", self.token, hook)
        assert answer.status_code == 201, answer.text


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    made = FaultyReceiver()
    yield made
    made.stop()


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str) -> Iterator[SeveralProcesses]:
    made = SeveralProcesses(tmp_path, vhost_uri)
    yield made
    made.stop()


def test_all_processes_deliver_webhooks(
    node: SeveralProcesses, receiver: FaultyReceiver, vhost_uri: str
) -> None:
    node.start_all()
    assert len(node.workers()) == PROCESSES - 1
    node.add_hook(receiver.url)
    publisher = Publisher(vhost_uri)
    # The hook is known in all processes when its request is answered: no event is missed.
    publisher.publish(600)
    receiver.verify(publisher.confirmed)
    publisher.close()
    numbers = {str(number) for number in range(1, PROCESSES + 1)}
    eventually(lambda: set(node.metric("process_open_fds")) == numbers, "metrics of all processes")
    attempts = node.metric("kazoo_bridge_attempts_total")
    assert sum(attempts.values()) >= len(publisher.confirmed)
    assert all(attempts.values()), attempts


def test_a_worker_that_is_killed_is_started_again(
    node: SeveralProcesses, receiver: FaultyReceiver, vhost_uri: str
) -> None:
    node.start_all()
    node.add_hook(receiver.url)
    publisher = Publisher(vhost_uri)
    publisher.publish(100)
    (killed,) = node.workers()
    os.kill(killed, signal.SIGKILL)
    publisher.publish(200)
    eventually(lambda: "degraded: process" in node.readiness(), "the degradation")
    eventually(lambda: len(node.workers()) == 1 and node.readiness() == "ready\n", "started again", 60)
    assert killed not in node.workers()
    receiver.verify(publisher.confirmed)
    publisher.close()
    assert "of this node has ended" in node.log_text()


def test_sigterm_drains_all_processes(
    node: SeveralProcesses, receiver: FaultyReceiver, vhost_uri: str
) -> None:
    receiver.behaviour = lambda _number: "slow"
    node.start_all()
    node.add_hook(receiver.url)
    workers = node.workers()
    publisher = Publisher(vhost_uri)
    publisher.publish(30)
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    assert not [one for one in workers if is_running(one)]
    assert node.log_text().count("the node has stopped") == PROCESSES
    receiver.behaviour = lambda _number: "ok"
    node.start_all()
    receiver.verify(publisher.confirmed)
    publisher.close()


def test_a_signal_to_all_processes_drains_them(
    node: SeveralProcesses, receiver: FaultyReceiver, vhost_uri: str
) -> None:
    receiver.behaviour = lambda _number: "slow"
    node.start_all()
    node.add_hook(receiver.url)
    workers = node.workers()
    publisher = Publisher(vhost_uri)
    publisher.publish(30)
    node.signal(signal.SIGTERM)
    eventually(lambda: "SIGTERM: draining" in node.log_text(), "the first signal")
    for worker in workers:  # to which the first process has passed the order to stop
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGTERM)
    assert node.ended() == 0
    assert not [one for one in workers if is_running(one)]
    assert "again: stopping now" not in node.log_text()
    publisher.close()


def test_workers_end_with_the_first_process(node: SeveralProcesses) -> None:
    # A module in the working folder, which others may write to, is not imported.
    (node.folder / "orjson.py").write_text("raise SystemExit('wrong module')")
    node.start_all(installed=True)
    workers = node.workers()
    node.signal(signal.SIGKILL)
    node.ended()
    eventually(lambda: not [one for one in workers if is_running(one)], "the end of the workers")
    assert "the first process of the node has ended" in node.log_text()


def test_a_reload_reaches_all_processes_and_a_log_file_has_all_lines(
    node: SeveralProcesses,
) -> None:
    file = node.folder / "node.log"
    node.arguments = [f"--logfile={file}"]
    node.start_all()
    node.signal(signal.SIGHUP)
    eventually(lambda: file.read_text().count("configuration reloaded") == PROCESSES, "reloads")


def test_a_new_category_is_there_in_all_processes(
    node: SeveralProcesses, tmp_path: Path, vhost_uri: str
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    with node.config.open("a") as config:
        config.write(f'[plugins]\npath = "{plugins}"\n')
    node.start_all()
    (plugins / "waiting.py").write_text(Path("etc/examples/queue_category.py").read_text())
    node.signal(signal.SIGHUP)
    added = "event category added category=queue"
    eventually(lambda: node.log_text().count(added) == PROCESSES, "it is added in all processes")
    receiver, broker = WebReceiver(), Broker(vhost_uri)
    try:
        hook = {"name": "n", "uri": receiver.url, "hook": "queue_entered"}
        path = f"/v2/accounts/{ACCOUNT}/webhooks"
        assert node.rest("PUT", path, node.token, hook).status_code == 201
        for number in range(40):
            event = {"Event-Category": "acdc_queue", "Event-Name": "ENTERED", "Account-ID": ACCOUNT}
            body = {**event, "Call-ID": f"c{number}"}
            broker.publish("callevt", f"acdc.queue.ENTERED.{ACCOUNT}", body, mandatory=True)
        receiver.wait_for(40)
    finally:
        broker.close()
        receiver.stop()
