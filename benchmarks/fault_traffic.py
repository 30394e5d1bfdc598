"""What `benchmarks.fault_load` sends and receives, and the account of every event."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, NackError, UnroutableError

from tests.integration.fault_harness import ACCOUNT, FaultyReceiver, ReceivedRequest
from tests.integration.kazoo_events import call_event

#: Every so many events the call of an earlier one ends.
END_EVERY = 5
_RECONNECT_S = 0.5
#: A handshake that takes too long is no `AMQPError`.
_NO_BROKER = (AMQPError, AMQPConnectorException, OSError)


class Confirmed(NamedTuple):
    """An event that the broker has taken: its name, when (monotonic), and which fault was there."""

    name: str
    at: float
    fault: str


class SteadyPublisher:
    """Publishes at a steady rate like a careful KAZOO: what is not confirmed and routed is published again.

    What `pause` has stopped at is complete: no event is between the publisher and the broker then.
    `fault` is what is written beside each event.
    """

    def __init__(self, uri: str, rate: float) -> None:
        # Its heartbeat is short, so that it notices a broker that answers nothing.
        self._parameters = pika.URLParameters(f"{uri}?heartbeat=6&blocked_connection_timeout=10")
        self._parameters.socket_timeout = self._parameters.stack_timeout = 5
        self._interval = 1 / rate
        self._running = threading.Event()
        self._idle = threading.Event()
        self._ended = False
        self._channel: pika.adapters.blocking_connection.BlockingChannel | None = None
        self.confirmed: dict[str, Confirmed] = {}
        self.repeated = 0
        self.fault = "none"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Publish."""
        self._idle.clear()
        self._running.set()

    def pause(self) -> None:
        """Return as soon as the last event is confirmed."""
        self._running.clear()
        self._idle.wait()

    def stop(self) -> None:
        """Publish the last event and end."""
        self._ended = True
        self._running.set()
        self._thread.join()
        self._disconnect()

    def waiting_in(self, queue: str) -> int:
        """Return the number of events in `queue` that no consumer has; only while paused."""
        self._connect()
        assert self._channel is not None
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def _run(self) -> None:
        number = 0
        while not self._ended:
            if not self._running.is_set():
                self._disconnect()
                self._idle.set()
                self._running.wait()
                continue
            began = time.monotonic()
            self._publish_until_confirmed(number)
            number += 1
            time.sleep(max(0.0, began + self._interval - time.monotonic()))

    def _publish_until_confirmed(self, number: int) -> None:
        name = "CHANNEL_DESTROY" if number % END_EVERY == 0 else "CHANNEL_CREATE"
        call_id = f"call-{number}"
        body = json.dumps(call_event(ACCOUNT, call_id, name) | {"Msg-ID": f"m{number}"}).encode()
        basic = pika.BasicProperties(content_type="application/json", delivery_mode=1)
        fault = self.fault
        while True:
            try:
                self._connect()
                assert self._channel is not None
                self._channel.basic_publish("callevt", f"call.{name}.{call_id}", body, basic, mandatory=True)
            except (UnroutableError, NackError):
                time.sleep(_RECONNECT_S)
            except _NO_BROKER:
                self._disconnect()
                time.sleep(_RECONNECT_S)
            else:
                self.confirmed[call_id] = Confirmed(name, time.monotonic(), fault)
                return
            self.repeated += 1

    def _connect(self) -> None:
        if self._channel is None or not self._channel.is_open:
            self._disconnect()
            self._channel = pika.BlockingConnection(self._parameters).channel()
            self._channel.confirm_delivery()

    def _disconnect(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(*_NO_BROKER):
                channel.connection.close()


class ReceiverOfHook:
    """The receiver of one hook, on one port, which can be away."""

    def __init__(self, behaviour: Callable[[int], str]) -> None:
        self._behaviour = behaviour
        self._servers = [FaultyReceiver(self._behave)]
        self._away = False
        self.url = self._servers[0].url
        self.healed = False
        self.delay_s = 0.0

    def _behave(self, number: int) -> str:
        time.sleep(0.0 if self.healed else self.delay_s)
        return "ok" if self.healed else self._behaviour(number)

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests so far."""
        return [one for server in self._servers for one in list(server.requests)]

    def leave(self) -> None:
        """Refuse connections."""
        if not self._away:
            self._servers[-1].stop()
            self._away = True

    def come_back(self) -> None:
        """Accept connections again."""
        if self._away:
            self._servers.append(FaultyReceiver(self._behave, self._servers[0].port))
            self._away = False


@dataclass
class FaultResult:
    """The account of the events that were published during one fault.

    `wanted`, `arrived` and the rest count pairs of event and hook. `missing`: the events that each hook has
    not got. `duplicates`: how many arrivals each hook had too many.
    """

    fault: str
    confirmed: int = 0
    wanted: int = 0
    arrived: int = 0
    missing: dict[str, list[str]] = field(default_factory=dict)
    duplicates: Counter[str] = field(default_factory=Counter)
    longest_delay_s: float = 0.0

    @property
    def lost(self) -> int:
        """How many of the wanted have not arrived."""
        return self.wanted - self.arrived

    def add(self, hook: str, call_id: str, arrivals: list[float], confirmed_at: float) -> None:
        """Take one event that `hook` wanted, and the times of its arrivals (monotonic)."""
        self.wanted += 1
        if not arrivals:
            self.missing.setdefault(hook, []).append(call_id)
            return
        self.arrived += 1
        self.duplicates[hook] += len(arrivals) - 1
        self.longest_delay_s = max(self.longest_delay_s, arrivals[0] - confirmed_at)


class Requests(NamedTuple):
    """What a hook got: its name, that of the event which it wants, and its receiver's requests."""

    hook: str
    wants: str
    requests: list[ReceivedRequest]


def account(
    confirmed: dict[str, Confirmed], hooks: Iterable[Requests]
) -> tuple[dict[str, FaultResult], list[str]]:
    """Compare what was confirmed with what arrived; returns a result for each fault, and what is wrong."""
    results: dict[str, FaultResult] = {}
    wrong: list[str] = []
    for event in confirmed.values():
        results.setdefault(event.fault, FaultResult(event.fault)).confirmed += 1
    for hook in hooks:
        arrivals: dict[str, list[float]] = {}
        ids: dict[str, set[str]] = {}
        for one in hook.requests:
            ids.setdefault(one.call_id, set()).add(one.webhook_id)
            if one.answered:
                arrivals.setdefault(one.call_id, []).append(one.at)
        wrong += [
            f"{hook.hook}: {name} came with {len(found)} ids" for name, found in ids.items() if len(found) > 1
        ]
        pairs = {(webhook_id, call_id) for call_id, found in ids.items() for webhook_id in found}
        if len({webhook_id for webhook_id, _ in pairs}) != len(pairs):
            wrong.append(f"{hook.hook}: two events came with one id")
        for call_id, event in confirmed.items():
            if event.name == hook.wants:
                results[event.fault].add(hook.hook, call_id, arrivals.get(call_id, []), event.at)
            elif call_id in ids:
                wrong.append(f"{hook.hook}: {call_id} was not wanted")
        wrong += [
            f"{hook.hook}: {call_id} was never confirmed" for call_id in ids if call_id not in confirmed
        ]
    return results, wrong
