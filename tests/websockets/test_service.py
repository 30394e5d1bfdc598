from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred

from kazoo_bridge.interfaces import HandshakeRejected
from kazoo_bridge.websockets.service import with_backlog
from tests.websockets.harness import CHILD, RESELLER, Harness

pytestmark = pytest.mark.timeout(30)


def metrics(harness: Harness) -> dict[str, dict[str, float]]:
    """Return the value of each metric by the value of its label, which is empty without one."""
    registry = CollectorRegistry()
    harness.websockets.register_metrics(registry)
    return {
        family.name.removeprefix("kazoo_bridge_"): {
            "".join(sample.labels.values()): sample.value
            for sample in family.samples
            if not sample.name.endswith("_created")
        }
        for family in registry.collect()
    }


@pytest_twisted.ensureDeferred
async def test_metrics(harness: Harness) -> None:
    client, other = await harness.connect(), await harness.connect(CHILD)
    await client.request("resume", {})
    await client.request("subscribe", {"account_id": RESELLER, "bindings": ["call.*.*", "fax.status.*"]})
    await harness.publish_call(RESELLER)
    await client.event()
    await harness.publish_call(CHILD)
    for session in harness.sessions:
        if session.account_id == RESELLER:
            assert session.output is not None
            session.output.close(1001, "test")
    await client.close_code()
    await harness.wait_until(lambda: sum(session.is_connected for session in harness.sessions) == 1)
    found = metrics(harness)
    topics = found.pop("topics")[""]
    assert topics == len(harness.websockets.fanout.index.topics) > 1
    assert found.pop("replay_bytes")[""] > 500
    assert found == {
        "sockets": {"": 1},
        "sessions_waiting": {"": 1},
        "subscriptions": {"": 2},
        "socket_events": {"": 1},
        "socket_events_dropped": {"": 0},
        "sockets_unauthenticated": {"": 0},
        "sockets_refused": {"unauthenticated": 0},
        "sockets_closed": {},
        "socket_resumes": {"complete": 0, "gap": 0, "unknown": 0},
    }
    await harness.node.tokens.revoke(harness.tokens[CHILD])
    assert await other.close_code() == 4401
    assert metrics(harness)["sockets_closed"] == {"4401": 1}


@pytest_twisted.ensureDeferred
async def test_host_and_port_of_the_endpoint(harness: Harness) -> None:
    service = harness.websockets
    assert service.host == f"127.0.0.1:{service.port}"
    assert service.port > 0
    await service.stop()
    assert (service.host, service.port) == ("localhost:0", 0)


@pytest_twisted.ensureDeferred
async def test_stopping_closes_the_sockets_and_refuses_new_ones(harness: Harness) -> None:
    client = await harness.connect()
    await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    address = harness.websockets.host
    await harness.websockets.stop()
    assert await client.close_code() == 1001
    client.address = address
    with pytest.raises(Exception, match="refused"):
        await client.open()


@pytest_twisted.ensureDeferred
async def test_waiting_for_clients_ends_when_the_last_has_closed(harness: Harness) -> None:
    client = await harness.connect()
    await harness.websockets.stop()
    await harness.websockets.when_closed(Deferred())
    assert not harness.sessions
    await client.closed


@pytest_twisted.ensureDeferred
async def test_waiting_for_clients_ends_when_it_is_forced(tmp_path: Path) -> None:
    harness = await Harness.start(tmp_path)
    client = await harness.connect()
    client.protocol.onCloseFrame = lambda *_: False  # does not answer the close frame
    await harness.websockets.stop()
    force: Deferred[None] = Deferred()
    waiting = Deferred.fromCoroutine(harness.websockets.when_closed(force))
    assert not waiting.called
    force.callback(None)
    assert waiting.called
    await waiting
    await harness.stop()


@pytest.mark.parametrize(
    ("endpoint", "completed"),
    [
        ("tcp:5555:interface=127.0.0.1", "tcp:5555:interface=127.0.0.1:backlog=4096"),
        (r"tcp6:5555:interface=\:\:", r"tcp6:5555:interface=\:\::backlog=4096"),
        ("haproxy:tcp:5555", "haproxy:tcp:5555:backlog=4096"),
        ("ssl:5555:privateKey=a.pem", "ssl:5555:privateKey=a.pem:backlog=4096"),
        ("tcp:5555:backlog=10", "tcp:5555:backlog=10"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
    ],
)
def test_many_clients_may_connect_at_once(endpoint: str, completed: str) -> None:
    assert with_backlog(endpoint) == completed


@pytest_twisted.ensureDeferred
async def test_limits_can_change_while_sockets_are_connected(harness: Harness) -> None:
    settings = harness.node.config.websockets
    client = await harness.connect()
    harness.websockets.configure(
        evolve(settings, max_connections=1, send_buffer_bytes=5000, rate_burst=3, allowed_origins=("null",))
    )
    admission = harness.websockets.server.admission
    assert (admission.connections.max_total, admission.origins) == (1, ("null",))
    assert harness.websockets.server.limits.send_buffer_bytes == 5000
    assert harness.websockets.server.limits.message_bytes == settings.max_message_bytes
    assert harness.websockets.sessions.limits.burst == 3
    with pytest.raises(HandshakeRejected):
        admission.acquire("192.0.2.9", None)
    await client.request("ping", {})
