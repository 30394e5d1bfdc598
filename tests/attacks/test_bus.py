"""Messages of the bus that are broken, of wrong types, or much larger than they look."""

from __future__ import annotations

import gc
import gzip
import json
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.demo import DemoOptions
from kazoo_bridge.interfaces import Queue, Topic
from kazoo_bridge.kazoo import EXCHANGES, account_db, encode_key_part, public_form
from kazoo_bridge.node.node import Node
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.payload_encoding import form_encode
from kazoo_bridge.websockets.server.frames import EventFrame, encode_json
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription
from tests.bus.harness import until
from tests.demo.harness import Harness as SwitchHarness
from tests.node.harness import make_node

pytestmark = pytest.mark.timeout(60)

ACCOUNT = "a" * 32
_CALL = {
    "Event-Category": "call_event",
    "Event-Name": "CHANNEL_CREATE",
    "Call-ID": "c1",
    "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Authorizing-ID": "d1", "Owner-ID": "o1"},
    "Channel-Created-Time": 1,
    "Channel-Is-Loopback": False,
    "Channel-Name": "sofia/x",
    "Channel-Answer-State": "ringing",
    "Timestamp": 63900000000,
    "From": "a@b",
    "To": "c@d",
    "Request": "c@d",
    "Caller-ID-Name": "n",
    "Parking-Slot": "1",
    "Node": "n1",
}
_DOCUMENT = {"ID": "d1", "Type": "user", "Database": account_db(ACCOUNT), "Account-ID": ACCOUNT, "Rev": "1-a"}
_REQUEST = {"Msg-ID": "m1", "Server-ID": "q1", "Account-ID": ACCOUNT, "Auth-Account-ID": ACCOUNT}

#: What each consumer of the node reads: exchange, routing key, body.
MESSAGES: list[tuple[str, str, dict[str, Any]]] = [
    *(
        ("callevt", f"call.{name}.c1", {**_CALL, "Event-Name": name})
        for name in ("CHANNEL_CREATE", "CHANNEL_BRIDGE", "CHANNEL_DESTROY", "PARK_PARKED", "PARK_RETRIEVED")
    ),
    ("configuration", f"doc_edited.{encode_key_part(account_db(ACCOUNT))}.user.d1", _DOCUMENT),
    ("configuration", "doc_edited.webhooks.webhook.h", {"ID": "b" * 32, "Type": "webhook"}),
    ("configuration", "doc_deleted.accounts.account.x", {"ID": "x", "Type": "account", "Account-ID": "x"}),
    ("configuration", "configuration.doc_type_update.webhook", {**_REQUEST, "Action": "account"}),
    ("sysconf", "websockets.get", {**_REQUEST, "Event-Name": "get_req", "Socket-ID": "s1"}),
    ("sysconf", "websockets.get", {**_REQUEST, "Event-Name": "get_req"}),
    ("sysconf", "websockets.close", {**_REQUEST, "Event-Name": "close_req", "Socket-ID": "s1"}),
    ("notifications", "notifications.voicemail.new", {**_REQUEST, "Event-Name": "voicemail_new"}),
    ("conference", f"conference.event.add-member.{ACCOUNT}.c1.call", {**_REQUEST, "Event": "add-member"}),
    ("faxes", f"fax.status.{ACCOUNT}.j1", {"Account-ID": ACCOUNT, "Job-ID": "j1", "Status": "x"}),
    ("im", "sms.inbound.offnet.m1", {"Account-ID": ACCOUNT, "Message-ID": "m1", "From": "1", "To": "2"}),
    ("presence", "dialog.realm.c1", {"Presence-ID": "a@realm", "Call-ID": "c1", "State": "early"}),
    ("targeted", "q1", {**_REQUEST, "Channels": {"c1": {"account_id": ACCOUNT}}, "Data": [{}]}),
]
WRONG: list[Any] = [
    None, True, 0, -1, 10**25, 1.5, "", "text", "x" * 300, "\x1b]0;x\x07\r\n\u2028", "\ud800",
    [], [[]], [ACCOUNT], {}, {"a": {"b": [None]}}, {"Account-ID": [ACCOUNT]},
]  # fmt: skip


def with_wrong_types() -> Iterator[tuple[str, str, bytes]]:
    """Yield each message with each key, then with random keys, replaced by each wrong value."""
    rng = random.Random(1)
    for exchange, key, body in MESSAGES:
        variables = body.get("Custom-Channel-Vars", {})
        for wrong in WRONG:
            for name in (*body, "Event-Name", "Msg-ID", "Server-ID", "Account-ID"):
                yield exchange, key, json.dumps({**body, name: wrong}).encode()
            for name in variables:
                changed = {**body, "Custom-Channel-Vars": {**variables, name: wrong}}
                yield exchange, key, json.dumps(changed).encode()
        for _ in range(30):
            changed = {name: rng.choice([value, rng.choice(WRONG)]) for name, value in body.items()}
            yield exchange, key, json.dumps(changed).encode()


class IgnoringSubscriber:
    """Takes every frame."""

    def __init__(self) -> None:
        self.count = 0

    def deliver(self, frame: EventFrame) -> None:
        self.count += 1


@pytest_twisted.async_yield_fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with a client that listens to everything, and with watched calls."""
    node = make_node(tmp_path)
    await node.start()
    fanout: Any = node.websockets.fanout
    subscriber = IgnoringSubscriber()
    topics = []
    for category in node.categories:
        for binding in getattr(category, "bindings", ()):
            for placeholder in ("{CALL_ID}", "{FAX_ID}", "{USER}", "{ACTION}"):
                binding = binding.replace(placeholder, "*")
            plan: Any = category.resolve_binding(binding.replace("{CONFERENCE_ID}", "c1"), None, True, 0.0)  # type: ignore[attr-defined]
            topics += fanout.index.add(subscriber, Subscription(binding, None, category, plan))  # type: ignore[arg-type]
    await fanout.bind(topics)
    node.calls.watch(ACCOUNT, lambda _change: None)
    yield node
    assert subscriber.count > 0
    await node.stop(Deferred())


def problems(logs: Sequence[LogEvent]) -> list[str]:
    return [
        formatEvent(event) for event in logs if "log_failure" in event or event["log_level"] >= LogLevel.error
    ]


@pytest_twisted.ensureDeferred
async def test_no_value_of_a_wrong_type_raises_in_any_consumer(node: Node) -> None:
    bus: Any = node.bus
    received: list[object] = []
    topics = frozenset(Topic(name, "#") for name, kind in EXCHANGES.items() if kind == "topic")
    bus.consume(Queue(topics=topics, acknowledge=False), received.append)
    sent = 0
    with capturedLogs() as logs:
        for exchange, key, raw in with_wrong_types():
            await bus.publish_raw(exchange, key, raw)
            sent += exchange != "targeted"
        await until(lambda: len(received) == sent, "all messages to be handled")
        gc.collect()
    assert problems(logs) == []
    assert len(logs) < 50, [formatEvent(event) for event in logs]
    assert bus._decoder.unreadable["invalid"] > 100


def test_an_answer_with_wrong_types_fails_no_request() -> None:
    clock = Clock()
    bus = EmbeddedBus(clock)
    bus.startService()
    done: list[Any] = []
    with capturedLogs() as logs:
        bus.request("sysconf", "question", {}, timeout=1).addCallback(done.append)
        clock.advance(0)
        queue = next(iter(bus._queues))
        for wrong in WRONG:
            bus.publish_raw("targeted", queue, json.dumps({"Msg-ID": wrong, "Data": wrong}).encode())
        clock.advance(0)
        clock.advance(1)
    bus.stopService()
    assert done == [[]]
    assert problems(logs) == []


def test_a_compressed_message_takes_as_much_memory_as_its_bound_at_most() -> None:
    """61 KB that became 64 MiB each; six of them took half a gigabyte."""
    bomb = gzip.compress(b'{"a":"' + b"x" * 60_000_000 + b'"}')
    decoder = MessageDecoder(Clock())
    tracemalloc.start()
    began = time.process_time()
    for _ in range(6):
        assert decoder.decode("callevt", "call.x", bomb, "gzip", False) is None
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    decoder.stop()
    assert decoder.unreadable["too_large"] == 6
    assert peak < 40_000_000
    assert seconds < 1.5


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":[' + b"[]," * 2_000_000 + b"1]}",
        b"[" * 16_000_000,
        b'{"a":"' + b"\xff" * 16_000_000 + b'"}',
        b"\x00" * 16_000_000,
        b'{"a":' + b"9" * 1_000_000 + b"}",
        b'{"a":"' + b"\\ud800" * 170_000 + b'"}',
    ],
    ids=["values", "depth", "bytes", "controls", "digits", "surrogates"],
)
def test_a_costly_message_costs_little(raw: bytes) -> None:
    decoder = MessageDecoder(Clock())
    began = time.process_time()
    decoder.decode("callevt", "call.x", raw, None, False)
    assert time.process_time() - began < 0.3
    decoder.stop()


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 89014103211118510720, 10**40])
def test_a_long_integer_keeps_its_digits_until_it_leaves(number: int) -> None:
    event = MessageDecoder(Clock()).decode("callevt", "call.x", b'{"Iccid": %d}' % number, None, False)
    assert event is not None
    assert encode_json(public_form(event.body)) == b'{"iccid":%d}' % number
    hook = Hook.from_event(
        ACCOUNT, "channel_create", {"uri": "https://example.com", "http_verb": "post", "format": "json"}
    )
    assert build_request(hook, {"iccid": number}, "").body == b'{"iccid":%d}' % number
    assert form_encode({"iccid": number}) == f"iccid={number}"


def test_no_value_of_a_wrong_type_raises_in_the_simulated_switch() -> None:
    harness = SwitchHarness(DemoOptions(calls_per_minute=30, accounts=3, max_calls=5))
    harness.run(60)
    arguments = dict.fromkeys(("target", "action", "leg", "id", "text", "level", "device_id"), "x")
    queries = [("Account-ID", "account_channels"), ("Realm", "user_channels"), ("Usernames", "user_channels")]
    queries += [("Call-ID", "channels"), ("Fields", "channels"), ("Active-Only", "channels")]
    bodies: list[tuple[str, str, dict[str, Any]]] = []
    for wrong in WRONG:
        for key, name in queries:
            request = {**_REQUEST, "Event-Name": f"query_{name}_req", key: wrong}
            bodies.append(("callevt", "call.status_req.x", request))
        for action in ("transfer", "hold", "park", "play", "say", "record_call", "move", "callflow"):
            for name in arguments:
                data = {**arguments, name: wrong}
                bodies.append(("metaflow", "metaflow.action.x.x", {"Action": action, "Data": data}))
            bodies.append(("metaflow", "metaflow.action.x.x", {"Action": action, "Data": wrong}))
            flow = {"module": action, "data": {}, "children": {"_": wrong}}
            bodies.append(("metaflow", "metaflow.flow.x", {"Event-Name": "flow", "Flow": flow}))
    with capturedLogs() as logs:
        for exchange, key, body in bodies:
            legs = harness.switchboard.calls.legs()
            leg = next(iter(legs))
            known = {"Event-Name": "action", "Call-ID": leg.id, "Realm": leg.channel(0)["Realm"]}
            raw = json.dumps({**known, **body}).encode()
            harness.bus.publish_raw(exchange, key, raw)
            harness.clock.advance(0.1)
    harness.stop()
    assert any("command obeyed" in message for message in harness.messages)
    assert problems(logs) == []
