"""Signals and the log of a node, as systemd and operators use them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.files import install_certificate, shown_name
from tests.integration.node_process import NodeProcess, eventually


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """A node with a JSON log, whose websockets have TLS."""
    node = NodeProcess(tmp_path, "embedded:", '[log]\nformat = "json"\n')
    install_certificate(tmp_path, "first")
    endpoint = f"ssl:{node.websocket_port}:certKey={tmp_path}/cert.pem:privateKey={tmp_path}/key.pem"
    text = node.config.read_text()
    node.config.write_text(text.replace(f"tcp:{node.websocket_port}:interface=127.0.0.1", endpoint))
    node.start()
    yield node
    node.stop()


def lines(node: NodeProcess, message: str) -> list[dict[str, object]]:
    """Return the lines of the JSON log whose messages contain `message`."""
    parsed = [json.loads(line) for line in node.log_text().splitlines()]
    return [line for line in parsed if message in line["message"]]


def test_a_node_reloads_reports_its_state_and_drains(node: NodeProcess) -> None:
    node.rest("GET", "/v2/webhooks?page_size=2")
    (access,) = lines(node, "GET /v2/webhooks")
    assert (access["status"], access["path"]) == (200, "/v2/webhooks")
    assert lines(node, "/readyz") == []
    assert shown_name(node.websocket_port) == "CN=first"

    install_certificate(node.folder, "second")
    text = node.config.read_text().replace('format = "json"', 'format = "json"\naccess_log = false')
    node.config.write_text(text.replace("[http]", "[http]\nidle_timeout_s = 9"))
    node.signal(signal.SIGHUP)
    eventually(lambda: lines(node, "configuration reloaded changed=log.access_log"), "the reload is logged")
    assert lines(node, "http.idle_timeout_s has changed and needs a restart")
    assert shown_name(node.websocket_port) == "CN=second"
    node.rest("GET", "/v2/webhooks")

    node.config.write_text("[log]\nlevel = 5\n")
    node.signal(signal.SIGHUP)
    eventually(lambda: lines(node, "configuration refused"), "the wrong configuration is refused")

    for number in (signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE, signal.SIGUSR1):
        node.signal(number)
    eventually(lambda: lines(node, "status connections="), "the state is logged")
    assert lines(node, "status readiness=ready")
    assert len(lines(node, "GET /v2/webhooks")) == 1
    node.signal(signal.SIGQUIT)
    assert node.ended() == 0
    assert lines(node, "the node has stopped")


def test_lines_for_the_journal_have_priorities_and_a_log_file_is_opened_anew(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "embedded:", '[log]\nformat = "journal"\n')
    node.arguments = ["--logfile", str(tmp_path / "bridge.log")]
    node.start()
    try:
        file = tmp_path / "bridge.log"
        moved = file.rename(tmp_path / "bridge.log.1")
        node.signal(signal.SIGHUP)
        eventually(lambda: file.exists() and "reloaded" in file.read_text(), "the log file is opened anew")
        written = moved.read_text() + file.read_text()
        assert all(line.startswith(("<6>[", "<4>[")) for line in written.splitlines())
        assert node.log_text() == ""
    finally:
        node.stop()


def test_a_new_category_is_there_after_a_reload(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    node = NodeProcess(tmp_path, "embedded:", f'[plugins]\npath = "{plugins}"\n')
    node.start()
    try:
        (plugins / "waiting.py").write_text(Path("etc/examples/queue_category.py").read_text())
        node.signal(signal.SIGHUP)
        eventually(lambda: "event category added category=queue" in node.log_text(), "it is added")
        listed = node.rest("GET", "/v2/webhooks").json()["data"]
        assert "queue_entered" in [one["id"] for one in listed]
    finally:
        node.stop()
