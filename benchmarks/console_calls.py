"""How the operator console bears a busy account: 500 live calls, and 50 events a second, in a real Chromium.

Run it with ``python -m benchmarks.console_calls``. The service runs in a process of its own with an embedded bus, where calls of two legs
come and go so that there are always as many. In the page, frames are counted by the time between two of them, and "long tasks" are those
that keep the page from anything else for 50 ms or more, as browsers define them. There is no screen and no graphics card here: frames are
drawn by the processor, on the same cores as the service.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attrs import evolve
from playwright.sync_api import Page, sync_playwright

ACCOUNT = "a" * 32
RESULTS = Path(__file__).parent / "results" / "console_calls.json"

_SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")

#: Events of one call, from its beginning to its end.
_LIFE = ("CHANNEL_CREATE", "CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_BRIDGE", "CHANNEL_DESTROY", "CHANNEL_DESTROY")

_WATCH_FRAMES = """() => {
  window.measured = { frames: [], tasks: [] };
  const keep = (list) => measured.tasks.push(...list.getEntries().map((one) => one.duration));
  new PerformanceObserver(keep).observe({ entryTypes: ["longtask"] });
  let last = performance.now();
  const frame = (now) => {
    measured.frames.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""


def events_of(number: int) -> list[dict[str, Any]]:
    """All events of one call of two legs, in order."""
    names = {"Caller_ID_Name": f"Caller {number}", "Caller_ID_Number": f"+1555{number % 10_000:04d}"}
    legs = [f"{number}-a", f"{number}-b"]
    told = []
    for name, leg in zip(_LIFE, (0, 1, 1, 0, 1, 0), strict=True):
        body = {
            "Event-Category": "call_event",
            "Event-Name": name,
            "Call-ID": legs[leg],
            "Call-Direction": ("inbound", "outbound")[leg],
            "Callee-ID-Number": "2001",
            "Custom-Channel-Vars": {"Account-ID": ACCOUNT, **({"Owner-ID": "u"} if leg else {})},
            "Timestamp": int(time.time()) + 62167219200,
            **{key.replace("_", "-"): value for key, value in names.items()},
        }
        if leg or name == "CHANNEL_BRIDGE":
            body["Other-Leg-Call-ID"] = legs[1 - leg]
        told.append(body)
    return told


class Crowd:
    """Calls that come and go."""

    def __init__(self, bus: Any, most: int) -> None:
        self._bus = bus
        self._most = most
        self._numbers = itertools.count()
        self._live: list[list[dict[str, Any]]] = []

    def _tell(self, bodies: list[dict[str, Any]]) -> None:
        for body in bodies:
            self._bus.publish("callevt", f"call.{body['Event-Name']}.{body['Call-ID']}", body)

    def step(self, count: int) -> None:
        """Let a call begin while there is room for it, and else the oldest one end."""
        for _ in range(count):
            if len(self._live) < self._most:
                life = events_of(next(self._numbers))
                self._tell(life[:4])
                self._live.append(life[4:])
            else:
                self._tell(self._live.pop(0))


def serve(folder: str, calls: int, rate: int, pipe: Connection) -> None:
    """The service with a crowd of calls, in a process of its own."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import LoopingCall

    from kazoo_bridge.bridge import Bridge
    from kazoo_bridge.config import Config, Http, Storage, Websockets

    config = evolve(
        Config(),
        storage=Storage(f"sqlite:///{folder}/b.sqlite3"),
        http=Http("tcp:0:interface=127.0.0.1"),
        websockets=evolve(Websockets(), endpoint="tcp:0:interface=127.0.0.1"),
    )
    bridge = Bridge.of(reactor, config)
    stepping = LoopingCall.withCount(Crowd(bridge.bus, calls).step)

    async def start() -> None:
        await bridge.start()
        await bridge.accounts.create(ACCOUNT)
        await bridge.directory.load()
        pipe.send((bridge.http_host, (await bridge.tokens.create(ACCOUNT)).token))
        LoopingCall(listen).start(0.2)

    def listen() -> None:
        if pipe.poll():
            asked = pipe.recv()
            if stepping.running:
                stepping.stop()
            if asked == "stop":
                reactor.stop()  # type: ignore[attr-defined]
                return
            # A call that ends and the one that takes its place are two steps, and six events.
            stepping.start(0.01 if asked == "fill" else 3 / rate)

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(start()))  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


def percentile(values: list[float], share: float) -> float:
    """The value below which so much of them lies."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 1)


def measure(page: Page, seconds: int) -> dict[str, Any]:
    """Look at the page for so long."""
    page.evaluate(_WATCH_FRAMES)
    shown = page.locator("#view .overview .chart-figure strong").first
    page.wait_for_timeout(seconds * 1000)
    measured = page.evaluate("measured")
    rows = page.locator("table.calls tbody tr:not([data-state=ended])").count()
    frames = measured["frames"]
    return {
        "live calls in the table at the end": rows,
        "events a second, as the console counts them": shown.inner_text(),
        "seconds": seconds,
        "frames a second": round(len(frames) / seconds, 1),
        "ms between two frames: half, 95 %, 99 %, worst": [percentile(frames, share) for share in (0.5, 0.95, 0.99, 1)],
        "long tasks (50 ms and more)": len(measured["tasks"]),
        "longest task, ms": round(max(measured["tasks"], default=0), 1),
        "script memory, MB": round(page.evaluate("performance.memory.usedJSHeapSize") / 1e6, 1),
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        service = multiprocessing.Process(target=serve, args=(folder, options.calls, options.rate, theirs))
        service.start()
        address, token = ours.recv()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_SWITCHES)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://{address}/console/")
        page.get_by_role("textbox", name="Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.locator(".indicator.online").wait_for()
        begun = time.monotonic()
        ours.send("fill")
        while page.locator("table.calls tbody tr").count() < options.calls:
            page.wait_for_timeout(20)
        filled = round(time.monotonic() - begun, 2)
        ours.send("churn")
        page.wait_for_timeout(12_000)
        result = {
            "benchmark": "console_calls",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "chromium": browser.version,
            "cores": os.cpu_count(),
            "seconds until all calls were shown, at 100 new ones a second": filled,
            **measure(page, options.seconds),
        }
        browser.close()
        ours.send("stop")
        service.join()
    text = json.dumps(result, indent=2)
    RESULTS.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
