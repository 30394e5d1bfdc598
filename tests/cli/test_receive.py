from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import requests

from kazoo_bridge.cli.receive import MAX_BODY_BYTES, WebhookReceiver, make_server, payload_lines
from kazoo_bridge.cli.signature_check import SignatureCheck
from kazoo_bridge.webhooks.hooks.signing_keys import HMAC, generate_secret
from tests.cli.harness import CliHarness


def test_requests_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    receiver = WebhookReceiver(None, 1, 202, None)
    form = {"content-type": "application/x-www-form-urlencoded", "x-hook-id": "h1", "webhook-id": "msg_1"}
    assert receiver.receive("POST", "/x", form, b"call_id=c1&a%5Bb%5D=2") == 500
    assert receiver.receive("POST", "/x", form | {"webhook-signature": "v1,x"}, b"") == 202
    assert capsys.readouterr().out.splitlines() == [
        "--- 1  POST /x  -> 500",
        "content-type: application/x-www-form-urlencoded",
        "x-hook-id: h1",
        "webhook-id: msg_1",
        "  call_id = c1",
        "  a[b] = 2",
        "--- 2  POST /x  -> 202",
        "content-type: application/x-www-form-urlencoded",
        "x-hook-id: h1",
        "webhook-id: msg_1 (the same as request 1)",
        "signature: not checked; give --secret or --public-key",
    ]


def test_signatures_are_verified(capsys: pytest.CaptureFixture[str]) -> None:
    check = SignatureCheck.parse(generate_secret(HMAC))
    WebhookReceiver(check, 0, 200, None).receive("GET", "/?a=\x1b", {}, b"")
    assert "signature: INVALID: there is none" in capsys.readouterr().out


def test_an_empty_key_is_named(cli: CliHarness) -> None:
    for option in ("--secret", "--public-key"):
        error = cli.error("receive", "--port", "0", option, "", exit_code=2)
        assert "to verify signatures with, got nothing" in error


def test_payloads() -> None:
    assert list(payload_lines("/?a=1&b=", "", b"")) == ["  a = 1", "  b = "]
    assert list(payload_lines("/", "application/json", b'{"a": "\xc3\xa9"}')) == ["{", '  "a": "é"', "}"]
    assert list(payload_lines("/", "application/json", b"{")) == ["not JSON: {"]
    assert list(payload_lines("/", "text/plain", b"text")) == ["text"]


@pytest.fixture
def receiver() -> WebhookReceiver:
    return WebhookReceiver(None, 0, 201, 2)


@pytest.fixture
def url(receiver: WebhookReceiver) -> Iterator[str]:
    """A server that serves until its second request."""
    server = make_server("127.0.0.1", 0, receiver)
    receiver.on_done = lambda: threading.Thread(target=server.shutdown).start()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_real_request(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert requests.post(url, json={"call_id": "c1"}, timeout=10).status_code == 201
    assert '  "call_id": "c1"' in capsys.readouterr().out
    large = {"Content-Length": str(MAX_BODY_BYTES + 1)}
    assert requests.post(url, headers=large, timeout=10).status_code == 413
    assert requests.put(url, timeout=10).status_code == 201


def test_options(cli: CliHarness) -> None:
    assert "--port" in cli.error("receive", exit_code=2)
    error = cli.error("receive", "--port", "0", "--secret", "whsec_AAAA", exit_code=2)
    assert "expected 24 to 64 bytes" in error
    secret = generate_secret(HMAC)
    both = cli.error("receive", "--port", "0", "--secret", secret, "--public-key", secret, exit_code=2)
    assert "either --secret or --public-key" in both
    assert "cannot listen on 192.0.2.1:1" in cli.error("receive", "--port", "1", "--host", "192.0.2.1")
