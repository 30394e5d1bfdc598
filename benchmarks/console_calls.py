"""Measure the operator console with 500 live calls and 50 events a second, in a real Chromium.

Run it with ``python -m benchmarks.console_calls``. The service runs in another process with an embedded bus,
where calls of two legs begin and end so that their number stays the same. The page measures the time between
animation frames, and "long tasks", which block it for 50 ms or more, as browsers define them. Chromium runs
headless and without a GPU: it renders on the CPU, on the same cores as the service. Other processes of the
machine take frames away, so the result also has what does not depend on them: the CPU time of the page's main
thread, and of Chromium's process of the page with its threads that rasterize.
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
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

ACCOUNT = "a" * 32
RESULTS = Path(__file__).parent / "results" / "console_calls.json"

_CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)

#: Name and leg of the events of one call, in order.
_CALL_EVENTS = (
    ("CHANNEL_CREATE", 0),
    ("CHANNEL_CREATE", 1),
    ("CHANNEL_ANSWER", 1),
    ("CHANNEL_BRIDGE", 0),
    ("CHANNEL_DESTROY", 1),
    ("CHANNEL_DESTROY", 0),
)

#: How many of a call's events precede its end.
_START_EVENT_COUNT = 4

#: Ending one call and beginning another takes two steps, with six events.
_EVENTS_PER_STEP = 3

_FILL_INTERVAL_S = 0.01
_COMMAND_POLL_INTERVAL_S = 0.2

#: Until the console's average of the event rate covers the steady state only.
_WARM_UP_MS = 12_000

#: The number of live calls, in the toolbar: only those near what is in sight have a row.
_LIVE_CALLS = ".lane-filter[data-lane=all] strong"

_MEASURE_FRAMES = """() => {
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


def make_events(number: int) -> list[dict[str, Any]]:
    """Make all events of one call with two legs, in order."""
    names = {"Caller_ID_Name": f"Caller {number}", "Caller_ID_Number": f"+1555{number % 10_000:04d}"}
    legs = [f"{number}-a", f"{number}-b"]
    events = []
    for name, leg in _CALL_EVENTS:
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
        events.append(body)
    return events


class CallLoad:
    """Publishes the events of calls; at most `max_calls` are live."""

    def __init__(self, bus: Any, max_calls: int) -> None:
        self._bus = bus
        self._max_calls = max_calls
        self._numbers = itertools.count()
        self._live: list[list[dict[str, Any]]] = []

    def _publish(self, bodies: list[dict[str, Any]]) -> None:
        for body in bodies:
            self._bus.publish("callevt", f"call.{body['Event-Name']}.{body['Call-ID']}", body)

    def step(self, count: int) -> None:
        """Begin `count` calls; at the maximum, end the oldest one instead."""
        for _ in range(count):
            if len(self._live) < self._max_calls:
                events = make_events(next(self._numbers))
                self._publish(events[:_START_EVENT_COUNT])
                self._live.append(events[_START_EVENT_COUNT:])
            else:
                self._publish(self._live.pop(0))


def serve(folder: str, calls: int, rate: int, pipe: Connection) -> None:
    """Run the service with a load of calls; the parent process controls it through the pipe."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import LoopingCall

    from kazoo_bridge.config import Config, Http, Storage, Websockets
    from kazoo_bridge.node.assembly import build_node

    config = evolve(
        Config(),
        storage=Storage(f"sqlite:///{folder}/b.sqlite3"),
        http=Http("tcp:0:interface=127.0.0.1"),
        websockets=evolve(Websockets(), endpoint="tcp:0:interface=127.0.0.1"),
    )
    node = build_node(reactor, config)
    load = LoopingCall.withCount(CallLoad(node.bus, calls).step)

    async def start() -> None:
        await node.start()
        await node.accounts.create(ACCOUNT)
        await node.directory.load()
        pipe.send((node.http_host, (await node.tokens.create(ACCOUNT)).token))
        LoopingCall(poll_commands).start(_COMMAND_POLL_INTERVAL_S)

    def poll_commands() -> None:
        if pipe.poll():
            command = pipe.recv()
            if load.running:
                load.stop()
            if command == "stop":
                reactor.stop()
                return
            load.start(_FILL_INTERVAL_S if command == "fill" else _EVENTS_PER_STEP / rate)

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(start()))
    reactor.run()


def live_calls(page: Page) -> int:
    """Return the number of live calls that the console shows; 0 before it knows them."""
    text = page.locator(_LIVE_CALLS).inner_text()
    return int(text) if text.isdigit() else 0


def cpu_seconds(session: CDPSession) -> dict[str, float]:
    """Return the CPU seconds of the page's main thread, in all and by kind of work."""
    values = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    names = {"all": "TaskDuration", "script": "ScriptDuration", "style": "RecalcStyleDuration"}
    return {kind: values[name] for kind, name in {**names, "layout": "LayoutDuration"}.items()}


def process_cpu_seconds(browser: Browser) -> float:
    """Return the CPU seconds of the busiest process that renders pages, with all its threads."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return max(float(one["cpuTime"]) for one in processes if one["type"] == "renderer")


def record_profile(page: Page, seconds: int) -> Any:
    """Return a CPU profile of the page's main thread over this time."""
    session = page.context.new_cdp_session(page)
    session.send("Profiler.enable")
    session.send("Profiler.start")
    page.wait_for_timeout(seconds * 1000)
    profile = session.send("Profiler.stop")["profile"]
    session.detach()
    return profile


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 1)


def measure(page: Page, browser: Browser, seconds: int) -> dict[str, Any]:
    """Measure the page for this time."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before, process_before = cpu_seconds(session), process_cpu_seconds(browser)
    page.evaluate(_MEASURE_FRAMES)
    page.wait_for_timeout(seconds * 1000)
    measured = page.evaluate("measured")
    after, process_after = cpu_seconds(session), process_cpu_seconds(browser)
    live = live_calls(page)
    rows = page.locator("table.calls tbody tr[data-call-id]").count()
    frames = measured["frames"]
    page.evaluate("location.hash = '#/events'")
    rate = page.locator("#view .chart-figure strong").first.inner_text()
    return {
        "live calls at the end": live,
        "of them with a row in the document": rows,
        "events a second, as the console counts them": rate,
        "CPU of the main thread, ms a second": {
            kind: round((after[kind] - before[kind]) * 1000 / seconds, 1) for kind in before
        },
        "CPU of the page's process, ms a second": round((process_after - process_before) * 1000 / seconds, 1),
        "seconds": seconds,
        "frames a second": round(len(frames) / seconds, 1),
        "ms between two frames: half, 95 %, 99 %, worst": [
            percentile(frames, share) for share in (0.5, 0.95, 0.99, 1)
        ],
        "long tasks (50 ms and more)": len(measured["tasks"]),
        "longest task, ms": round(max(measured["tasks"], default=0), 1),
        "script memory, MB": round(page.evaluate("performance.memory.usedJSHeapSize") / 1e6, 1),
    }


def main() -> None:
    """Run the benchmark, print the result and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--profile", type=Path, help="write a CPU profile, for the developer tools of Chromium"
    )
    options = parser.parse_args()
    pipe, service_pipe = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        service = multiprocessing.Process(
            target=serve, args=(folder, options.calls, options.rate, service_pipe), daemon=True
        )
        service.start()
        address, token = pipe.recv()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"http://{address}/console/")
        page.get_by_role("textbox", name="Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.locator(".indicator.online").wait_for()
        started = time.monotonic()
        pipe.send("fill")
        while live_calls(page) < options.calls:
            page.wait_for_timeout(20)
        filled = round(time.monotonic() - started, 2)
        pipe.send("churn")
        page.wait_for_timeout(_WARM_UP_MS)
        if options.profile:
            options.profile.write_text(json.dumps(record_profile(page, options.seconds)))
        result = {
            "benchmark": "console_calls",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "chromium": browser.version,
            "cores": os.cpu_count(),
            "seconds until all calls were shown, at 100 new ones a second": filled,
            **measure(page, browser, options.seconds),
        }
        browser.close()
        pipe.send("stop")
        service.join()
    text = json.dumps(result, indent=2)
    options.results.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
