"""The configurations of HAProxy: it accepts them, and shows metrics in no spelling."""

from __future__ import annotations

import http.client
import re
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.config.files import make_certificate
from tests.integration.node_process import eventually
from tests.integration.rabbitmq import free_port

ETC = Path(__file__).parents[2] / "etc"
CONFIGURATIONS = ("haproxy.cfg", "haproxy-two-nodes.cfg")


class Node(BaseHTTPRequestHandler):
    """Answers every path like a node, whichever it is."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_haproxy_accepts_the_configuration(name: str, tmp_path: Path) -> None:
    pem = tmp_path / "both.pem"
    pem.write_text("".join(Path(path).read_text() for path in make_certificate(tmp_path, "events")))
    text = (ETC / name).read_text().replace("/etc/haproxy/events.example.com.pem", str(pem))
    config = tmp_path / name
    config.write_text(text)
    result = subprocess.run(["haproxy", "-c", "-f", config], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr.upper(), result.stderr


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_rest_is_checked_for_life_and_websockets_for_readiness(name: str) -> None:
    backends = dict(
        re.findall(r"^backend (\w+)\n((?: .*\n|\n(?= ))+)", (ETC / name).read_text(), re.MULTILINE)
    )
    checks = {backend: re.findall(r"httpchk GET (\S+)", text) for backend, text in backends.items()}
    assert checks == {"rest": ["/healthz"], "websockets": ["/readyz"]}


@pytest.fixture(params=CONFIGURATIONS)
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """The port of a HAProxy with the shipped rules, without TLS, in front of a web server."""
    node = ThreadingHTTPServer(("127.0.0.1", 0), Node)
    Thread(target=node.serve_forever, daemon=True).start()
    port = free_port()
    text = re.sub(r"bind :443 .*", f"bind 127.0.0.1:{port}", (ETC / request.param).read_text())
    text = re.sub(r"(?:127\.0\.0\.1|10\.0\.0\.1[12]):(?:8000|5555) .*", f"127.0.0.1:{node.server_port}", text)
    config = tmp_path / "haproxy.cfg"
    config.write_text(text)
    process = subprocess.Popen(["haproxy", "-db", "-f", config], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: answers(port), "HAProxy answers")
        yield port
    finally:
        process.kill()
        process.wait()
        node.shutdown()
        node.server_close()


def answers(port: int) -> bool:
    try:
        return status(port, "/healthz") == 200
    except OSError:
        return False


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_metrics_are_hidden_in_every_spelling(proxy: int) -> None:
    spellings = [
        "/metrics",
        "/metrics/",
        "//metrics",
        "///metrics//",
        "/%6detrics",
        "/m%65trics%2F",
        "/%2Fmetrics",
    ]
    spellings += ["/metrics?x", "/metrics/?x=1", "/%6Detrics/?x"]
    assert {path: status(proxy, path) for path in spellings} == dict.fromkeys(spellings, 403)
    assert [status(proxy, path) for path in ("/v2/metrics", "/metricsx", "/console/")] == [200, 200, 200]
