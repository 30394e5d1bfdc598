"""Clients that send much at once, over HTTP and over websockets: others keep their turn."""

from __future__ import annotations

import socket
from pathlib import Path
from time import process_time

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from kazoo_bridge.config import Calls, Config, Storage
from kazoo_bridge.rest.server import http_channel
from kazoo_bridge.websockets import actions
from kazoo_bridge.websockets.client_messages import MAX_VALUES, BadMessage, decode, peek_request_id
from kazoo_bridge.websockets.server import address_budget
from kazoo_bridge.websockets.server.address_budget import BURST, HANDSHAKE_COST
from tests.attacks.test_wsserver import assert_served, node
from tests.rest.harness import LOOPBACK, RestHarness, hooks_path, running_node
from tests.storage.sqlite_template import make_migrated_database
from tests.websockets.harness import RESELLER, STRANGER
from tests.websockets.raw_socket import TEXT, RawSocket, frame

pytestmark = pytest.mark.timeout(30)

#: The most values for its bytes: each costs time to be created.
MANY_LISTS = b'{"action":"ping","metadata":[' + b"[]," * 20_000 + b"1]}"


def limited(folder: Path, burst: int) -> Config:
    http = evolve(LOOPBACK, requests_per_second=1, request_burst=burst)
    storage = Storage(make_migrated_database(folder / "b.sqlite3"))
    return evolve(Config(), http=http, storage=storage, calls=Calls(query_timeout_ms=10))


def _send_and_count(address: tuple[str, int], sent: bytes, seconds: float) -> int:
    """Send bytes; return how many responses come until there is none for some seconds."""
    count = 0
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(sent)
        connection.settimeout(seconds)
        try:
            while chunk := connection.recv(1 << 20):
                count += chunk.count(b"HTTP/1.1 ")
        except TimeoutError:
            pass
    return count


async def send_and_count(rest: RestHarness, sent: bytes, seconds: float = 0.3) -> int:
    host, _, port = rest.base.removeprefix("http://").partition(":")
    return await deferToThread(_send_and_count, (host, int(port)), sent, seconds)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v2/webhooks HTTP/1.1",
        b"GET /healthz HTTP/1.1",
        b"OPTIONS /v2/webhooks HTTP/1.1",
        b"GET /readyz HTTP/1.1",
        b"GET //x HTTP/1.1",
        b"GET /x?% HTTP/1.1",
        b"NONE /x HTTP/1.1",
    ],
    ids=lambda head: head.split()[1].decode(),
)
@pytest_twisted.ensureDeferred
async def test_a_client_that_sends_thousands_of_requests_at_once_is_slowed_down(
    head: bytes, tmp_path: Path
) -> None:
    async with running_node(limited(tmp_path, burst=20)) as rest:
        started = process_time()
        answered = await send_and_count(rest, (head + b"\r\nHost: x\r\n\r\n") * 1500)
        # Methods that may write count more.
        expected = 5 if head.startswith(b"NONE") else 20
        assert expected <= answered <= expected + 5
        assert process_time() - started < 0.5
        assert (await rest("GET", "/healthz")).code == 200


@pytest_twisted.ensureDeferred
async def test_a_client_that_ignores_refusals_is_slowed_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_channel, "EXCESS_PAUSE", 60.0)
    async with running_node(limited(tmp_path, burst=1)) as rest:
        host, _, port = rest.base.removeprefix("http://").partition(":")

        def count_answers() -> int:
            with socket.create_connection((host, int(port)), timeout=0.3) as connection:
                for number in range(100):
                    connection.sendall(b"GET /v2/webhooks HTTP/1.1\r\nHost: x\r\n\r\n")
                    try:
                        connection.recv(65536)
                    except TimeoutError:
                        return number
            return 100

        answered = await deferToThread(count_answers)
        assert 20 < answered < 30


@pytest_twisted.ensureDeferred
async def test_a_body_in_single_bytes_is_refused(tmp_path: Path) -> None:
    async with running_node(limited(tmp_path, burst=20)) as rest:
        head = (
            b"PUT %s HTTP/1.1\r\nHost: x\r\nX-Auth-Token: x\r\n" % hooks_path().encode()
            + b"Transfer-Encoding: chunked\r\n\r\n"
        )
        started = process_time()
        assert await send_and_count(rest, head + b"1\r\na\r\n" * 400_000) == 1
        assert process_time() - started < 0.5


@pytest_twisted.ensureDeferred
async def test_a_head_of_hundreds_of_lines_is_refused(tmp_path: Path) -> None:
    async with running_node(limited(tmp_path, burst=20)) as rest:
        head = b"GET /healthz HTTP/1.1\r\n" + b"a:\r\n" * 300 + b"\r\n"
        assert await send_and_count(rest, head * 3) == 1


def test_a_message_of_thousands_of_values_is_refused_unparsed() -> None:
    started = process_time()
    for _ in range(100):
        with pytest.raises(BadMessage, match=f"{MAX_VALUES} values"):
            decode(MANY_LISTS)
    assert process_time() - started < 0.15


def test_a_large_message_beyond_the_rate_is_not_parsed_for_its_id() -> None:
    large = b'{"request_id": "mine", "x": "' + b"x" * 60_000 + b'"}'
    assert peek_request_id(large) != "mine"
    assert peek_request_id(b'{"request_id": "mine"}') == "mine"


def test_as_many_bindings_as_fit_are_accepted() -> None:
    bindings = b",".join(b'"call.*.%d"' % number for number in range(4500))
    assert (
        len(decode(b'{"action":"subscribe","data":{"bindings":[%s]}}' % bindings)["data"]["bindings"]) == 4500
    )


@pytest_twisted.ensureDeferred
async def test_large_messages_without_a_token_are_bounded_by_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_budget, "FRAMES_PER_SECOND", 0.001)
    async with node(tmp_path) as harness:
        budget = harness.websockets.server.admission.budget
        assert budget.take("127.0.0.9", BURST - HANDSHAKE_COST - 40)
        attacker = await RawSocket(harness.websockets.port, "127.0.0.9").upgrade()
        await attacker.send_all(frame(TEXT, MANY_LISTS) * 4)
        await attacker.receive_until(b"rate limiting threshold hit")
        assert attacker.received.count(b"values at most") == 2
        await assert_served(harness)
        attacker.close()


@pytest_twisted.ensureDeferred
async def test_one_tenants_messages_leave_turns_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MESSAGES_PER_INTERVAL", 5)
    async with node(tmp_path) as harness:
        victim, attacker = await harness.connect(STRANGER), await harness.connect(RESELLER)
        flood = [Deferred.fromCoroutine(attacker.request("ping")) for _ in range(90)]
        await harness.wait_until(lambda: flood[0].called)
        assert (await victim.request("ping"))["status"] == "success"
        assert sum(answer.called for answer in flood) < 60
        await gatherResults(flood)
