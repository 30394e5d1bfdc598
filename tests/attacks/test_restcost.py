"""Requests that cost the REST server more than they cost the client."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from time import process_time
from typing import Any
from urllib.parse import quote, unquote

import pytest
import pytest_twisted
from attrs import evolve
from sqlalchemy import func, select
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, LogEvent, capturedLogs, globalLogPublisher
from zope.interface import implementer

from kazoo_bridge.config import Calls, Config, Storage
from kazoo_bridge.node.log.formats import format_text
from kazoo_bridge.rest.http.pagination import encode_page_key
from kazoo_bridge.storage import tables, tokens
from tests.rest.harness import (
    ACCOUNT,
    CHILD,
    HOOK_DOCUMENT,
    LOOPBACK,
    RestHarness,
    hooks_path,
    running_node,
)
from tests.rest.raw_http import exchanged, request
from tests.storage.sqlite_template import make_migrated_database

#: A hook that the rules of egress allow; nothing is sent.
ANYWHERE = {**HOOK_DOCUMENT, "uri": "http://8.8.8.8/x"}

SAMPLES = "/v2/webhooks/samples/webhooks_notifications"


@pytest_twisted.async_yield_fixture
async def rest(tmp_path: Path) -> AsyncIterator[RestHarness]:
    storage = Storage(make_migrated_database(tmp_path / "b.sqlite3"))
    config = evolve(Config(), http=LOOPBACK, storage=storage, calls=Calls(query_timeout_ms=10))
    async with running_node(config) as harness:
        yield harness


@pytest.mark.parametrize(
    "query",
    [
        "filter_" + "." * 7900 + "=[" + "1," * 3900 + "1]",
        "filter_" + "." * 2000 + "=[" + "1," * 900 + "1]",
        "&".join(f"filter_a{number}=1" for number in range(150)),
        "filter_a=[" + ",".join(f'"{number}"' for number in range(101)) + "]",
        "&".join("has_key=" + "a." * 9 + f"b{number}" for number in range(20))
        + "&filter_x=["
        + "1," * 90
        + "2]",
        "has_key=" + "a." * 40,
        "value_missing=" + "." * 5000,
    ],
)
@pytest_twisted.ensureDeferred
async def test_costly_filters_are_refused_by_name(rest: RestHarness, query: str) -> None:
    started = process_time()
    answered = await rest("GET", f"{SAMPLES}?{query.replace('[', '%5B').replace(']', '%5D')}", token="")
    assert process_time() - started < 0.3
    assert (answered.code, answered.json_body["message"]) == (400, "validation error")
    (field,) = answered.json_body["data"]
    assert field.rstrip("…") in query
    assert len(answered.text_body) < 1000


@pytest_twisted.ensureDeferred
async def test_the_most_costly_filters_that_are_accepted_cost_little(rest: RestHarness) -> None:
    choices = quote("[" + ",".join(str(number) for number in range(90)) + "]")
    query = "&".join(["has_key=" + "a." * 9 + "b"] * 19 + [f"filter_x={choices}"])
    started = process_time()
    assert (await rest("GET", f"{SAMPLES}?{query}", token="")).code == 200
    assert process_time() - started < 0.3


@pytest.mark.parametrize(
    "body",
    [
        b'{"verb":"PUT","data":[' + b"[]," * 340_000 + b"1]}",
        b'{"verb":"PUT","data":{' + b",".join(b'"%d":{}' % number for number in range(60_000)) + b"}}",
        b'{"verb":"PUT","data":' + b"[" * 500_000,
        b'{"verb":"PUT","data":["' + b'\\"' * 500_000 + b'"]}',
    ],
    ids=["lists", "objects", "depth", "escapes"],
)
@pytest.mark.parametrize("token", ["", "0" * 64])
@pytest_twisted.ensureDeferred
async def test_a_body_of_a_stranger_is_not_parsed(rest: RestHarness, body: bytes, token: str) -> None:
    started = process_time()
    answered = await rest("POST", hooks_path(), raw=body, token=token)
    assert process_time() - started < 0.3
    assert answered.code in (401, 405, 413)
    small = body[:60_000]
    started = process_time()
    assert (await rest("PUT", hooks_path(), raw=small, token=token)).code in (400, 401)
    assert process_time() - started < 0.3


@pytest_twisted.ensureDeferred
async def test_a_body_with_a_token_has_a_bounded_number_of_values(rest: RestHarness) -> None:
    body = b'{"verb":"PUT","data":[' + b"[]," * 340_000 + b"1]}"
    started = process_time()
    answered = await rest("POST", hooks_path(), raw=body)
    assert process_time() - started < 0.3
    assert (answered.code, answered.json_body["message"]) == (405, "invalid_method")
    started = process_time()
    answered = await rest("PUT", hooks_path(), raw=body)
    assert process_time() - started < 0.3
    assert (answered.code, list(answered.json_body["data"])) == (400, ["body"])


@pytest_twisted.ensureDeferred
async def test_all_tokens_of_an_account_share_its_rate(tmp_path: Path) -> None:
    limited = evolve(LOOPBACK, requests_per_second=1, request_burst=20)
    config = evolve(Config(), http=limited, storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")))
    async with running_node(config) as rest:
        tokens = [(await rest.node.tokens.create(ACCOUNT)).token for _ in range(6)]
        codes = [(await rest("GET", hooks_path(), token=token)).code for token in tokens for _ in range(8)]
    # Each token's first request is charged to the address; the others are charged to the account.
    assert codes.count(200) <= 20 + 6 + 5
    assert codes[-1] == 429


@pytest_twisted.ensureDeferred
async def test_hidden_paths_have_one_spelling(rest: RestHarness) -> None:
    for path in ("/metrics/", "//metrics", "/%6detrics", "/metric%73", "/%2fmetrics", "//readyz"):
        code, _, body = await exchanged(rest, request(rest, path.encode()))
        assert code == 404, path
        assert b"kazoo_bridge_" not in body
    code, _, _ = await exchanged(rest, request(rest, b"xmetrics"))
    assert code == 400


@pytest_twisted.ensureDeferred
async def test_idle_connections_lock_no_other_client_out(tmp_path: Path) -> None:
    limited = evolve(LOOPBACK, max_connections=50, max_connections_per_ip=10)
    config = evolve(Config(), http=limited, storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")))
    async with running_node(config) as rest:
        host, _, port = rest.base.removeprefix("http://").partition(":")
        idle = [
            await deferToThread(
                socket.create_connection, (host, int(port)), 5, (f"127.0.0.{2 + number % 6}", 0)
            )
            for number in range(90)
        ]
        for connection in idle[::2]:
            with suppress(OSError):
                connection.sendall(b"GET /v2/webhooks HTTP/1.1\r\nX-Slow: ")
        for path in ("/healthz", "/readyz", hooks_path()):
            assert (await rest("GET", path)).code == 200
        for connection in idle:
            connection.close()


@pytest_twisted.ensureDeferred
async def test_a_client_that_closes_its_sending_side_gets_its_answer(rest: RestHarness) -> None:
    host, _, port = rest.base.removeprefix("http://").partition(":")

    def exchange() -> bytes:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(request(rest, hooks_path().encode()).replace(b"Connection: close\r\n", b""))
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            return received

    received = await deferToThread(exchange)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"}")


@pytest_twisted.ensureDeferred
async def test_many_scrapes_cost_one_query(rest: RestHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    works: list[str] = []
    read = rest.node.database.read

    def record(work: Any) -> Any:
        works.append(work.__qualname__)
        return read(work)

    monkeypatch.setattr(rest.node.database, "read", record)
    answers = await gatherResults(
        [Deferred.fromCoroutine(rest("GET", path, token="")) for path in ["/metrics", "/readyz"] * 20]
    )
    assert {answered.code for answered in answers} == {200}
    assert len([work for work in works if work.startswith("DeliveryStore.counts")]) == 1


@pytest_twisted.ensureDeferred
async def test_scrapes_are_limited_apart_from_others(tmp_path: Path) -> None:
    limited = evolve(LOOPBACK, requests_per_second=1, request_burst=10)
    config = evolve(Config(), http=limited, storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")))
    async with running_node(config) as rest:
        codes = [(await rest("GET", "/metrics", token="")).code for _ in range(15)]
        assert codes[:10] == [200] * 10
        assert codes[-1] == 429
        assert (await rest("GET", "/v2/webhooks", token="")).code == 200
        assert (await rest("GET", "/healthz", token="")).code == 200


@pytest_twisted.ensureDeferred
async def test_creating_a_hook_costs_one_write_and_no_read(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rest.get_data(hooks_path())  # the token is in memory from now on
    works: list[str] = []

    def record(name: str) -> None:
        original = getattr(rest.node.database, name)

        def submit(work: Any) -> Any:
            works.append(f"{name} {work.__qualname__}")
            return original(work)

        monkeypatch.setattr(rest.node.database, name, submit)

    record("read")
    record("write")
    created = await rest("PUT", hooks_path(), ANYWHERE)
    # Reads of the node's own timers may come between, and that of a token which the feed has just reported.
    others = ("ChangeFeed", "due", "paused", "TokenStore")
    own = [work for work in works if not any(other in work for other in others)]
    assert (created.code, own) == (201, ["write HookStore.create.<locals>.create"])
    hook = created.json_body["data"]
    assert (await rest.get_data(hooks_path(hook_id=hook["id"])))["health"] == hook["health"]


@pytest_twisted.ensureDeferred
async def test_writes_of_an_account_use_up_its_rate_sooner(tmp_path: Path) -> None:
    limited = evolve(LOOPBACK, requests_per_second=1, request_burst=40)
    config = evolve(Config(), http=limited, storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")))
    async with running_node(config) as rest:
        codes = [(await rest("PUT", hooks_path(), ANYWHERE)).code for _ in range(25)]
        assert codes[0] == 201
        # The first request is charged to the address; a second brings a quarter of a write.
        assert 10 <= codes.count(201) <= 16
        assert codes[-1] == 429


@pytest_twisted.ensureDeferred
async def test_event_streams_with_many_bindings_use_up_the_rate(tmp_path: Path) -> None:
    limited = evolve(LOOPBACK, requests_per_second=1, request_burst=40)
    config = evolve(Config(), http=limited, storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")))
    async with running_node(config) as rest:
        await rest.get_data(hooks_path())
        query = "&".join(f"binding=fax.status.{number}" for number in range(190))
        path = f"/v2/accounts/{ACCOUNT}/events?{query}".encode()
        codes = [await _first_code(rest, path) for _ in range(6)]
        assert codes[0] == 200
        assert codes[-1] == 429


async def _first_code(rest: RestHarness, path: bytes) -> int:
    """Open a stream, wait for the beginning of the answer, and leave."""
    host, _, port = rest.base.removeprefix("http://").partition(":")

    def exchange() -> int:
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(request(rest, path))
            return int(connection.recv(65536).split()[1])

    return await deferToThread(exchange)


LIMITS = f"/v2/accounts/{CHILD}/configs/webhooks"


@pytest.mark.parametrize(
    ("verb", "path", "data"),
    [
        ("PATCH", LIMITS, {f"unknown{number}": number for number in range(18_000)}),
        ("PATCH", LIMITS, {"k" * 600_000: 1}),
        ("PATCH", LIMITS, {"max_hooks": ["x" * 600_000]}),
        (
            "PUT",
            hooks_path(),
            {**HOOK_DOCUMENT, "custom_data": {f"k{n}": {"a": "x" * 50} for n in range(600)}},
        ),
        ("PUT", hooks_path(), {**HOOK_DOCUMENT, "custom_data": {f"k{n}": n for n in range(5000)}}),
        ("PUT", hooks_path(), {**HOOK_DOCUMENT, "custom_data": {f"k{n}": "\n" for n in range(5000)}}),
        ("PUT", hooks_path(), {**HOOK_DOCUMENT, "custom_data": [["x" * 90] * 20] * 30}),
        ("PUT", hooks_path(), {**HOOK_DOCUMENT, "name": {"a": {"b": ["y" * 30_000]}}}),
        ("PUT", hooks_path(), {**HOOK_DOCUMENT, "hook": "z" * 60_000}),
        ("POST", f"/v2/accounts/{ACCOUNT}/channels/c1", {"action": ["x" * 90] * 9000}),
        ("PUT", "/v2/api_auth", {"api_key": ["x" * 60_000]}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_errors_do_not_repeat_what_was_sent(rest: RestHarness, verb: str, path: str, data: Any) -> None:
    started = process_time()
    answered = await rest(verb, path, data)
    assert process_time() - started < 0.3
    assert answered.code == 400
    assert answered.json_body["message"] == ("invalid data" if "/channels/" in path else "validation error")
    assert len(answered.text_body) < 16_000


@pytest.mark.parametrize("position", [[1], ["a", 5], 2**63, -1, [[1], "a"], None, "x", {}])
@pytest_twisted.ensureDeferred
async def test_a_forged_start_key_is_refused(rest: RestHarness, position: Any) -> None:
    lists = [
        hooks_path(),
        f"{hooks_path()}/attempts",
        f"{hooks_path()}/deliveries",
        f"/v2/accounts/{ACCOUNT}/children",
        f"/v2/accounts/{ACCOUNT}/descendants",
        f"/v2/accounts/{ACCOUNT}/channels",
    ]
    for path in lists:
        with capturedLogs() as logs:
            answered = await rest("GET", f"{path}?start_key={encode_page_key(path, position)}")
        assert [event for event in logs if "log_failure" in event] == []
        assert (answered.code, list(answered.json_body["data"])) == (400, ["start_key"])


@implementer(ILogObserver)
class LogText:
    """What a log file would get."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(format_text(dict(event)) or "")


@pytest.mark.parametrize("sign", [b"\x1b[31m", b"\xc2\x85", b"\xe2\x80\xa8", b"\x07", b"\x0b", b"\xff"])
@pytest_twisted.ensureDeferred
async def test_no_control_character_of_a_request_reaches_a_log(rest: RestHarness, sign: bytes) -> None:
    path = hooks_path(hook_id=quote(sign)).encode()
    headers = b"User-Agent: %b\r\nReferer: %b\r\nX-Request-ID: %b\r\nX-Forwarded-For: %b\r\n" % ((sign,) * 4)
    log = LogText()
    globalLogPublisher.addObserver(log)
    for target in (path, b"/" + sign):
        await exchanged(rest, request(rest, target).replace(b"Host:", headers + b"Host:"))
    globalLogPublisher.removeObserver(log)
    assert any("HTTP/1.1" in line for line in log.lines)
    for line in log.lines:
        assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", line) is None


@pytest_twisted.ensureDeferred
async def test_logins_with_one_api_key_leave_a_bounded_number_of_tokens(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS_PER_API_KEY", 5)
    api_key = await rest.node.tokens.create_api_key(ACCOUNT)
    issued = [
        (await rest("PUT", "/v2/api_auth", {"api_key": api_key}, token="")).json_body["auth_token"]
        for _ in range(12)
    ]
    count = select(func.count()).select_from(tables.tokens).where(tables.tokens.c.api_key.is_not(None))
    assert await rest.node.database.read(lambda connection: connection.scalar(count)) == 5
    assert (await rest("GET", hooks_path(), token=issued[-1])).code == 200
    assert (await rest("GET", hooks_path(), token=issued[0])).code == 401


@pytest_twisted.ensureDeferred
async def test_a_leaf_learns_of_no_account_above_it(rest: RestHarness) -> None:
    leaf = (await rest.node.tokens.create(CHILD)).token
    for path in ("parents", "tree"):
        assert await rest.get_data(f"/v2/accounts/{CHILD}/{path}", token=leaf) == []
        (parent,) = await rest.get_data(f"/v2/accounts/{CHILD}/{path}")
        assert parent["id"] == ACCOUNT


def test_the_shipped_proxy_hides_metrics_in_every_spelling_and_keeps_rest_without_the_broker() -> None:
    config = (Path(__file__).parents[2] / "etc/haproxy.cfg").read_text()
    (pattern,) = re.findall(r"http-request deny if \{ path,url_dec -m reg (\S+) \}", config)
    for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/%2Fmetrics//"):
        assert re.search(pattern, unquote(path))
    for path in ("/", "/v2/metrics", "/metricsx", "/console/metrics.js"):
        assert re.search(pattern, path) is None
    checks = re.findall(r"^backend (\w+)(?:\n.*)*?\n +option httpchk GET (\S+)", config, re.MULTILINE)
    assert checks == [("rest", "/healthz"), ("websockets", "/readyz")]
