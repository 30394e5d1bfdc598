"""Pivot requests: how long KAZOO waits beside the client's own time.

A node on the embedded bus, one websocket client that answers at once, and KAZOO, which asks at a steady rate
over kept-alive connections. Prints percentiles of the time from request to answer, and before them those of
`/healthz` at the same rate, asked by the same client: what the asking itself takes.

    python -m benchmarks.pivot --rate 200 --seconds 20
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import treq
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread
from twisted.web.client import HTTPConnectionPool

from tests.integration.node_process import NodeProcess
from tests.websockets.client import WebsocketClient

reactor: Any = installed_reactor

ACCOUNT = "a" * 32
FLOW = {"module": "callflow", "data": {"id": "b" * 32}, "children": {}}

Ask = Callable[[int], Coroutine[Any, Any, float]]


class AnsweringClient(WebsocketClient):
    """Answers each request in the turn in which it arrives."""

    def on_message(self, payload: bytes) -> None:
        message = json.loads(payload)
        if message.get("name") == "pivot_request":
            data = {"account_id": ACCOUNT, "pivot_id": message["data"]["pivot_id"], "flow": FLOW}
            self.send({"action": "pivot", "data": data})
        elif message["action"] != "event":
            super().on_message(payload)


async def measure(rate: int, seconds: float) -> tuple[list[float], list[float]]:
    """Return the seconds from request to answer, sorted: of `/healthz`, and of a pivot point."""
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

    async def ask_health(_number: int) -> float:
        began = time.perf_counter()
        response = await treq.get(f"http://127.0.0.1:{node.port}/healthz", pool=pool)
        await response.content()
        return time.perf_counter() - began

    async def ask_point(number: int) -> float:
        call = {"Call-ID": f"c{number}", "Account-ID": ACCOUNT, "From": "2001", "To": "100"}
        began = time.perf_counter()
        response = await treq.post(url, data=call, pool=pool)
        body = await response.content()
        took = time.perf_counter() - began
        assert json.loads(body) == FLOW, body
        return took

    health = await ask_steadily(ask_health, rate, seconds)
    point = await ask_steadily(ask_point, rate, seconds)
    client.drop()
    await pool.closeCachedConnections()
    await deferToThread(node.stop)
    return health, point


async def ask_steadily(ask: Ask, rate: int, seconds: float) -> list[float]:
    """Ask `rate` times a second, however long answers take; return the times but the first tenth, sorted."""
    began = reactor.seconds()
    asked: list[Deferred[float]] = []
    for number in range(int(rate * seconds)):
        await deferLater(reactor, max(0.0, began + number / rate - reactor.seconds()))
        asked.append(Deferred.fromCoroutine(ask(number)))
    times = await gatherResults(asked)
    return sorted(times[len(times) // 10 :])


async def main(_reactor: Any) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    measured = await measure(options.rate, options.seconds)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for what, times in zip(("/healthz", "a pivot point"), measured, strict=True):
        shown = [f"{name} {times[int(len(times) * share)] * 1000:.1f} ms" for name, share in shares.items()]
        print(f"{len(times)} requests to {what} at {options.rate} a second: {', '.join(shown)}")


if __name__ == "__main__":
    react(lambda clock: ensureDeferred(main(clock)))
