"""Requests that no proper client sends."""

from __future__ import annotations

import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.config import Http
from kazoo_bridge.rest.http.request_body import MAX_BODY_BYTES
from kazoo_bridge.rest.server.http_channel import LimitedRequest
from kazoo_bridge.rest.server.site import make_site
from tests.rest.fakes import FakeDirectory
from tests.rest.harness import ACCOUNT, HOOK_DOCUMENT, RestHarness, hooks_path
from tests.rest.raw_http import exchanged, request


@pytest.mark.parametrize(
    "target",
    [
        b"/v2/accounts/%zz/webhooks",
        b"/v2/accounts/%/webhooks",
        b"/v2/accounts/%ff%fe/webhooks",
        b"/v2/accounts/\xff\xfe/webhooks",
        b"/v2/accounts/%00/webhooks",
        hooks_path(hook_id="%00").encode(),
        hooks_path(hook_id="%0a").encode(),
        hooks_path(hook_id="%C3").encode(),
        hooks_path().encode() + b"?filter_name=%zz",
        hooks_path().encode() + b"?filter_name=%ff",
        hooks_path().encode() + b"?\xff=1",
        hooks_path().encode() + b"?" + b"a=1&" * 300,
    ],
)
@pytest_twisted.ensureDeferred
async def test_targets_that_cannot_be_decoded(rest: RestHarness, target: bytes) -> None:
    code, headers, body = await exchanged(rest, request(rest, target))
    envelope = json.loads(body)
    assert (code, envelope["error"], envelope["status"]) == (400, "400", "error")
    assert envelope["message"].startswith("parse error")
    assert headers["access-control-allow-origin"] == "*"
    assert "version" not in envelope


@pytest.mark.parametrize(
    ("target", "codes"),
    [
        (hooks_path(hook_id="x" * 5000).encode(), {404}),
        (hooks_path(hook_id="%F0%9F%8E%A7").encode(), {404}),
        (hooks_path(hook_id="a%2Fb").encode(), {404}),
        (hooks_path(hook_id="..%2F..").encode(), {404}),
        (b"/v2/accounts/../../etc/passwd", {404}),
        (b"//v2//accounts", {404}),
        (b"/v2/accounts//webhooks", {404}),
        (b"http://elsewhere/v2/webhooks", {400}),
        (b"xv2/webhooks", {400}),
        (b"//v2/webhooks", {404}),
        (b"/v2//webhooks", {404}),
        (b"*", {404, 405}),
        (b"/v2/accounts/" + b"A" * 32 + b"/webhooks", {403}),
        (b"/nothing/", {404}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_targets_that_lead_nowhere(rest: RestHarness, target: bytes, codes: set[int]) -> None:
    code, headers, body = await exchanged(rest, request(rest, target))
    assert code in codes
    assert "server" not in headers
    assert b"Twisted" not in body


@pytest.mark.parametrize(
    "host", [b"\xff\xfe", b"a" * 70, b"", b"x" * 300, b"[::1", b"a..b", b"xn--\xc3\xa9", b"host:port"]
)
@pytest_twisted.ensureDeferred
async def test_no_host_name_matters(rest: RestHarness, host: bytes) -> None:
    code, _, body = await exchanged(rest, request(rest, hooks_path().encode(), host=host))
    assert (code, json.loads(body)["data"]) == (200, [])


@pytest.mark.parametrize("verb", [b"BREW", b"get", b"CONNECT", b"PRI"])
@pytest_twisted.ensureDeferred
async def test_strange_verbs(rest: RestHarness, verb: bytes) -> None:
    code, headers, body = await exchanged(rest, request(rest, hooks_path().encode(), verb=verb))
    assert (code, json.loads(body)["message"]) == (405, "invalid_method")
    assert "PUT" in headers["allow"]


@pytest_twisted.ensureDeferred
async def test_headers_beyond_all_measure(rest: RestHarness) -> None:
    long, many = (
        b"X-Auth-Token: " + b"x" * 100_000,
        b"\r\n".join(b"X-%d: x" % number for number in range(20_000)),
    )
    for sent in (
        b"GET /v2/webhooks HTTP/1.1\r\nHost: x\r\n" + long + b"\r\n\r\n",
        b"GET /v2/webhooks HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n\r\n",
        b"GET /v2/webhooks?" + b"x" * 5_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xfe /v2/webhooks HTTP/1.1\r\n\r\n",
        b"no HTTP at all\r\n\r\n",
        b"PUT /v2/webhooks HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"PUT /v2/webhooks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + b"x" * 100_000,
    ):
        code, headers, body = await exchanged(rest, sent)
        assert (code, json.loads(body)["message"][:11]) == (400, "parse error")
        assert int(headers["content-length"]) == len(body)
    assert (await rest("GET", "/v2/webhooks")).code == 200


def _certificate(folder: Path) -> Path:
    """A key and a certificate for it, in one file."""
    private, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, now, now + timedelta(days=1))
    encoded = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "both.pem"
    path.write_bytes(encoded + builder.sign(private, SHA256()).public_bytes(Encoding.PEM))
    return path


@pytest_twisted.ensureDeferred
async def test_headers_beyond_all_measure_over_tls(tmp_path: Path) -> None:
    pem = _certificate(tmp_path)
    site = make_site(reactor, [], "node", FakeDirectory({}, {}), Http())
    port = await serverFromString(
        reactor, f"ssl:0:privateKey={pem}:certKey={pem}:interface=127.0.0.1"
    ).listen(site)

    def refused() -> bytes:
        context = ssl.create_default_context(cafile=str(pem))
        with socket.create_connection(("127.0.0.1", port.getHost().port), timeout=20) as plain:
            connection = context.wrap_socket(plain, server_hostname="localhost")
            connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
            return connection.recv(65536)

    with capturedLogs() as logs:
        assert b"parse error" in await deferToThread(refused)
        await port.stopListening()
    assert not [event for event in logs if "log_failure" in event]


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + b"1" + closing * depth


@pytest.mark.parametrize("depth", [64, 1000, 100_000])
@pytest_twisted.ensureDeferred
async def test_deep_bodies(rest: RestHarness, depth: int) -> None:
    for body in (nested(b'{"data":', b"}", depth), b'{"data":{"x":' + nested(b"[", b"]", depth) + b"}}"):
        for verb, path in (("PUT", hooks_path()), ("PUT", "/v2/api_auth"), ("POST", hooks_path(hook_id="x"))):
            answered = await rest(verb, path, raw=body)
            # 64 objects within each other are read, and found to be no hook.
            read = depth == 64 and body.startswith(b'{"data":{"data"')
            if path == "/v2/api_auth" and depth == 100_000:
                assert answered.code == 413
            elif read and verb == "POST":
                assert answered.code == 404
            else:
                assert answered.code == 400, (verb, path)
            word = answered.json_body["message"]
            assert read or word.startswith(("parse error", "validation error", "too_large"))
            if not read and word == "validation error":
                assert list(answered.json_body["data"]) == ["body"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"name": "\\ud800"}}',
        b'{"data": {"name": NaN}}',
        b"\xff\xfe",
        b'{"data": null}',
        b'{"data": 1e999}',
        b"{}",
        b"null",
        b"\x00",
    ],
)
@pytest_twisted.ensureDeferred
async def test_bodies_that_are_no_documents(rest: RestHarness, body: bytes) -> None:
    answered = await rest("PUT", hooks_path(), raw=body)
    assert (answered.code, answered.json_body["message"][:11]) == (400, "parse error")


@pytest_twisted.ensureDeferred
async def test_bodies_that_are_too_large_are_not_kept(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, body = await exchanged(
        rest, request(rest, hooks_path().encode(), verb=b"PUT", body=b"x" * 5_000_000)
    )
    assert (code, json.loads(body)["message"]) == (413, "too_large")
    code, _, _ = await exchanged(
        rest,
        request(rest, hooks_path(hook_id="x").encode(), verb=b"POST", body=b'{"verb"' + b"x" * 5_000_000),
    )
    assert code == 413
    kept: list[int] = []
    process = LimitedRequest.process

    def measured(self: LimitedRequest) -> None:
        assert self.content is not None
        kept.append(self.content.seek(0, 2))
        process(self)

    monkeypatch.setattr(LimitedRequest, "process", measured)
    await exchanged(rest, request(rest, hooks_path().encode(), verb=b"PUT", body=b"x" * 5_000_000))
    assert kept == [MAX_BODY_BYTES + 1]


@pytest_twisted.ensureDeferred
async def test_no_answer_names_the_server(rest: RestHarness) -> None:
    for sent, status in (
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (request(rest, b"/healthz"), 200),
        (request(rest, hooks_path().encode()), 200),
    ):
        code, headers, _ = await exchanged(rest, sent)
        assert code == status
        assert "server" not in headers
    for path in ("/v2/webhooks", hooks_path(), "/v2/nothing", "/nothing"):
        answered = await rest("GET", path, token="")
        assert answered.headers.getRawHeaders("server") is None
        assert "version" not in answered.json_body
        assert answered.headers.getRawHeaders("access-control-allow-origin") == ["*"]


@pytest_twisted.ensureDeferred
async def test_no_query_in_the_access_log(rest: RestHarness) -> None:
    with capturedLogs() as logs:
        for path in (
            f"{hooks_path()}?auth_token=hunter2",
            "/v2/nothing?auth_token=hunter2",
            "/v2/webhooks?x=%zz&auth_token=hunter2",
            "?hunter2",
        ):
            await rest(
                "GET", path, token="", headers={"Referer": "http://ui.example/page?auth_token=hunter2"}
            )
        await rest("POST", f"{hooks_path()}?verb=BREW&auth_token=hunter2", token="")
        await exchanged(rest, request(rest, b"/v2/x?hunter2\xff"))
    text = "\n".join(formatEvent(event) for event in logs)
    assert f"/v2/accounts/{ACCOUNT}/webhooks" in text
    assert "http://ui.example/page" in text
    assert "hunter2" not in text


@pytest_twisted.ensureDeferred
async def test_where_a_token_may_stand(rest: RestHarness) -> None:
    good: Any = rest.token
    for headers in (
        {"X-Auth-Token": f" {good} "},
        {"Authorization": f"bearer {good}"},
        {"Authorization": f"Bearer  {good}"},
    ):
        assert (await rest("GET", hooks_path(), token="", headers=headers)).code == 200
    for headers in (
        {"X-Auth-Token": "\xc5\xbd"},
        {"Authorization": f"Basic {good}"},
        {"Authorization": "Bearer"},
        {"X-Auth-Token": ""},
    ):
        assert (await rest("GET", hooks_path(), token="", headers=headers)).code == 401
    assert (await rest("GET", f"{hooks_path()}?auth_token={good}&auth_token=bad", token="")).code == 200
    assert (await rest("GET", f"{hooks_path()}?auth_token=", token="")).code == 401
    body = json.dumps({"auth_token": good, "data": {}}).encode()
    assert (await rest("PUT", hooks_path(), token="", raw=body)).json_body["message"] == "validation error"
    assert (await rest("PUT", hooks_path(), token="", raw=b'{"auth_token": 3, "data": {}}')).code == 401


@pytest.mark.parametrize(
    "kind", [b"x\x1cy", b"x\x85y", b"\xff", b"multipart/form-data", b"application/x-www-form-urlencoded"]
)
@pytest_twisted.ensureDeferred
async def test_bodies_are_json_whatever_they_are_said_to_be(rest: RestHarness, kind: bytes) -> None:
    made = (await rest("PUT", hooks_path(), HOOK_DOCUMENT)).json_body["data"]["id"]
    sent = request(
        rest,
        hooks_path(hook_id=made).encode(),
        verb=b"POST",
        body=json.dumps({"data": HOOK_DOCUMENT}).encode(),
    )
    with capturedLogs() as logs:
        assert (await exchanged(rest, sent.replace(b"Host: localhost", b"Content-Type: " + kind)))[0] == 200
    assert not [event for event in logs if "log_failure" in event]


@pytest.mark.parametrize(
    "header", [b"X-Auth-Token", b"Authorization", b"If-Match", b"If-None-Match", b"X-Request-ID"]
)
@pytest_twisted.ensureDeferred
async def test_headers_that_are_not_utf_8(rest: RestHarness, header: bytes) -> None:
    made = (await rest("PUT", hooks_path(), HOOK_DOCUMENT)).json_body["data"]["id"]
    sent = request(rest, hooks_path(hook_id=made).encode()).replace(
        b"Host: localhost", header + b": Bearer \xff\xfe"
    )
    assert (await exchanged(rest, sent))[0] == 200
    unknown = sent.replace(rest.token.encode(), b"\xff")
    assert (await exchanged(rest, unknown))[0] == 401
    patch = sent.replace(b"GET ", b"PATCH ").replace(
        b"\r\n\r\n", b'\r\nContent-Length: 12\r\n\r\n{"data": {}}'
    )
    assert (await exchanged(rest, patch))[0] == (412 if header == b"If-Match" else 200)
