"""Pivot requests: how long KAZOO waits beside the client's own time.

A node on the embedded bus, one websocket client that answers at once, and KAZOO, which asks at a steady rate
over kept-alive connections. Prints percentiles of the time from request to answer.

    python -m benchmarks.pivot --rate 200 --seconds 20
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import treq
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread
from twisted.web.client import HTTPConnectionPool

from tests.integration.node_process import NodeProcess
from tests.websockets.client import WebsocketClient

reactor: Any = installed_reactor

ACCOUNT = "a" * 32
FLOW = {"module": "callflow", "data": {"id": "b" * 32}, "children": {}}


class AnsweringClient(WebsocketClient):
    """Answers each request in the turn in which it arrives."""

    def on_message(self, payload: bytes) -> None:
        message = json.loads(payload)
        if message.get("name") == "pivot_request":
            data = {"account_id": ACCOUNT, "pivot_id": message["data"]["pivot_id"], "flow": FLOW}
            self.send({"action": "pivot", "data": data})
        elif message["action"] != "event":
            super().on_message(payload)


async def measure(rate: int, seconds: float) -> list[float]:
    """Return the seconds from request to answer, sorted."""
    folder = Path(tempfile.mkdtemp())
    node = NodeProcess(folder, "embedded:")
    node.command("account", "create", "--id", ACCOUNT)
    token = node.command("token", "create", "--account", ACCOUNT)
    await deferToThread(node.start)
    document = {"name": "front-desk", "timeout_ms": 10_000}
    created = await deferToThread(node.rest, "PUT", f"/v2/accounts/{ACCOUNT}/pivots", token, document)
    url = created.json()["data"]["url"]
    client = AnsweringClient(f"127.0.0.1:{node.websocket_port}")
    await client.open()
    subscription = {"account_id": ACCOUNT, "binding": "pivot.front-desk"}
    await client.request("subscribe", subscription, auth_token=token)
    pool = HTTPConnectionPool(reactor)
    pool.maxPersistentPerHost = 50
    times: list[float] = []

    async def ask(number: int) -> None:
        call = {"Call-ID": f"c{number}", "Account-ID": ACCOUNT, "From": "2001", "To": "100"}
        began = time.perf_counter()
        response = await treq.post(url, data=call, pool=pool)
        body = await response.content()
        times.append(time.perf_counter() - began)
        assert json.loads(body) == FLOW, body

    began = reactor.seconds()
    asked = []
    for number in range(int(rate * seconds)):
        await deferLater(reactor, max(0.0, began + number / rate - reactor.seconds()))
        asked.append(ensureDeferred(ask(number)))
    await DeferredList(asked, fireOnOneErrback=True)
    client.drop()
    await pool.closeCachedConnections()
    await deferToThread(node.stop)
    return sorted(times[len(times) // 10 :])


async def main(_reactor: Any) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    times = await measure(options.rate, options.seconds)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    shown = [f"{name} {times[int(len(times) * share)] * 1000:.1f} ms" for name, share in shares.items()]
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"{len(times)} requests at {options.rate} a second: {', '.join(shown)}")


if __name__ == "__main__":
    react(lambda clock: ensureDeferred(main(clock)))
