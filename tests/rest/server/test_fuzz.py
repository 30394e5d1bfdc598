"""Random requests against the live site: whatever comes, it is answered or refused in words, and the next
one is served."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any

import pytest
import pytest_twisted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel, capturedLogs, formatEvent

from kazoo_bridge.config import Http
from tests.rest.harness import ACCOUNT, CHILD, HOOK_DOCUMENT, RestHarness, hooks_path

#: Seconds.
FUZZ_TIMEOUT = 10

Address = tuple[str, int]

HOOK, TOKEN = "{hook}", b"{token}"

PATHS = [
    hooks_path(),
    hooks_path(CHILD),
    hooks_path(hook_id=HOOK),
    hooks_path(hook_id=HOOK) + "/attempts",
    hooks_path(hook_id=HOOK) + "/test",
    hooks_path(hook_id=HOOK) + "/secret",
    hooks_path(hook_id=HOOK) + "/deliveries",
    hooks_path(hook_id=HOOK) + "/deliveries/recover",
    hooks_path(hook_id=HOOK) + "/deliveries/x/retry",
    hooks_path() + "/attempts",
    hooks_path() + "/deliveries",
    "/v2/webhooks",
    "/v2/webhooks/samples",
    "/v2/webhooks/samples/webhooks_channel_create",
    "/v2/api_auth",
    "/v2/token_auth",
    f"/v2/accounts/{ACCOUNT}",
    f"/v2/accounts/{ACCOUNT}/tree",
    f"/v2/accounts/{ACCOUNT}/descendants",
    f"/v2/accounts/{ACCOUNT}/descendants/webhooks",
    f"/v2/accounts/{ACCOUNT}/configs/webhooks",
    "/healthz",
    "/readyz",
    "*",
    "/",
]
NAMES = [
    "filter_name",
    "filter_not_name",
    "has_key",
    "key_missing",
    "has_value",
    "created_from",
    "modified_to",
    "page_size",
    "start_key",
    "paginate",
    "verb",
    "auth_token",
    "status",
]
HEADERS = [
    b"If-Match",
    b"If-None-Match",
    b"X-Request-ID",
    b"Authorization",
    b"Content-Type",
    b"Expect",
    b"Range",
    b"Cookie",
    b"Referer",
    b"Accept-Encoding",
    b"X-HTTP-Method-Override",
]
FRAMING = [b"Content-Length", b"Transfer-Encoding", b"Host", b"Connection", b"X-Auth-Token"]
FIELDS = [
    *HOOK_DOCUMENT,
    "custom_data",
    "modifiers",
    "retries",
    "enabled",
    "secret",
    "secret_overlap_seconds",
    "rate_limit",
    "ordered",
    "group",
    "http_verb",
    "format",
    "re-enable",
    "since",
    "api_key",
    "attempt_failure_count",
    "overlap_seconds",
]

texts = st.text(max_size=20)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
documents = st.builds(
    lambda more, good: {**(HOOK_DOCUMENT if good else {}), **more},
    st.dictionaries(st.sampled_from(FIELDS) | texts, values),
    st.booleans(),
)
envelopes = st.builds(
    lambda data, more: {"data": data, **more},
    documents | values,
    st.dictionaries(
        st.sampled_from(["verb", "auth_token", "id"]),
        st.sampled_from(["PUT", "DELETE", "patch"]) | values,
        max_size=2,
    ),
)


def mostly(usual: st.SearchStrategy[Any], wild: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw from `wild` one time in ten: most requests are to reach a handler."""
    return st.integers(0, 9).flatmap(lambda number: wild if number == 9 else usual)


bodies = mostly(
    envelopes.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()),
)
escaped = texts.map(lambda text: "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass")))
words = st.sampled_from(["true", "false", "1", "[]", "[1]", "99999999999999999999", "-1", "name", ""])
quoted = mostly(words | escaped, st.sampled_from(["%zz", "%ff"]))
queries = st.lists(st.builds("{}={}".format, st.sampled_from(NAMES) | quoted, quoted), max_size=4).map(
    lambda pairs: "?" + "&".join(pairs) if pairs else ""
)
wild_paths = st.builds("/v2/{}/{}".format, quoted, quoted) | st.builds(
    "{}/{}".format, st.sampled_from(PATHS), quoted
)
paths = mostly(st.sampled_from(PATHS), wild_paths)
targets = mostly(
    st.builds(lambda path, query: (path + query).encode(), paths, mostly(st.just(""), queries)),
    st.binary(max_size=30),
)
tidy = st.binary(max_size=30).map(lambda value: value.translate(None, b"\r\n\0"))
header_values = (
    st.sampled_from(
        [TOKEN, b"Bearer " + TOKEN, b"*", b'W/"1-x"', b"chunked", b"close", b"100-continue", b"5", b""]
    )
    | tidy
)
wild_headers = st.tuples(st.sampled_from(FRAMING) | tidy, header_values | st.binary(max_size=30))
headers = st.lists(mostly(st.tuples(st.sampled_from(HEADERS), header_values), wild_headers), max_size=3)
methods = mostly(
    st.sampled_from([b"GET", b"HEAD", b"PUT", b"POST", b"PATCH", b"DELETE", b"OPTIONS"]),
    st.binary(max_size=8),
)
versions = mostly(st.just(b"HTTP/1.1"), st.sampled_from([b"HTTP/1.0", b"HTTP/1.x", b"HTTP/9", b""]))


def request_of(
    method: bytes, target: bytes, version: bytes, more: list[tuple[bytes, bytes]], body: bytes, token: bytes
) -> bytes:
    lines = [
        b" ".join((method, target, version)),
        b"Content-Length: %d" % len(body),
        b"X-Auth-Token: " + token,
    ]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in more), b"", b""]) + body


requests = st.builds(request_of, methods, targets, versions, headers, bodies, mostly(st.just(TOKEN), tidy))

PROPER_REQUEST = b"GET /v2/webhooks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def exchanged(address: Address, sent: bytes, timeout: float) -> list[int]:
    """The status codes that come back for these bytes, until the server hangs up or says nothing for
    `timeout` seconds."""
    received = b""
    with socket.create_connection(address, timeout=10) as connection:
        try:
            connection.sendall(sent)
            connection.settimeout(timeout)
            while chunk := connection.recv(65536):
                received += chunk
        except (ConnectionError, TimeoutError):
            pass  # the server may close the connection or keep it
    return [int(code) for code in re.findall(rb"(?:\A|[\r\n}])HTTP/1\.1 ([0-9]{3}) ", received)]


@pytest.fixture
def http() -> Http:
    return Http("tcp:0:interface=127.0.0.1", requests_per_second=0, connections_per_second=0)


@pytest_twisted.ensureDeferred
async def test_random_requests_are_answered(rest: RestHarness) -> None:
    host, _, port = rest.base.removeprefix("http://").partition(":")
    address, token = (host, int(port)), rest.token.encode()
    hook_id = (await rest("PUT", hooks_path(), HOOK_DOCUMENT)).json_body["data"]["id"].encode()
    seen: set[int] = set()
    deadline = time.monotonic() + FUZZ_TIMEOUT

    @settings(max_examples=3000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests)
    def fuzz(sent: bytes) -> None:
        if time.monotonic() > deadline:
            return
        # The second request ends the connection, unless it is parsed as a part of the first one's body.
        codes = exchanged(
            address, sent.replace(TOKEN, token).replace(HOOK.encode(), hook_id) + PROPER_REQUEST, 0.3
        )
        seen.update(codes)
        assert all(code < 500 for code in codes), sent
        assert exchanged(address, PROPER_REQUEST, 10) == [200], sent

    with capturedLogs() as logs:
        await deferToThread(fuzz)
        assert (await rest("GET", "/v2/webhooks")).code == 200
    wrong = [
        formatEvent(event) for event in logs if "log_failure" in event or event["log_level"] >= LogLevel.error
    ]
    assert wrong == []
    # Some requests have reached a handler.
    assert {200, 400, 404} <= seen
