"""Messages that are nearly JSON reach a receiver; what they contain cannot write into the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.integration.kazoo_events import call_event
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.test_service import Kazoo, create_hook
from tests.integration.web_receiver import WebReceiver

ACCOUNT = "a" * 32


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, vhost_uri)
    node.command("account", "create", "--id", ACCOUNT)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def kazoo(vhost_uri: str) -> Iterator[Kazoo]:
    kazoo = Kazoo(vhost_uri)
    yield kazoo
    kazoo.close()


def body(call_id: str, name: bytes, number: bytes = b"1") -> bytes:
    """An event with a caller name and an own variable as raw bytes of JSON."""
    event = call_event(ACCOUNT, call_id) | {"Caller-ID-Name": "NAME", "Iccid": "NUMBER"}
    return json.dumps(event).encode().replace(b'"NAME"', name).replace(b'"NUMBER"', number)


def test_a_call_with_a_broken_name_or_a_long_number_is_delivered(
    node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ACCOUNT)
    create_hook(node, ACCOUNT, token, uri=f"{receiver.url}/json", format="json")
    create_hook(node, ACCOUNT, token, uri=f"{receiver.url}/form")
    names = {
        "latin-1": (b'"J\xf6rg"', "J\ufffdrg"),
        "control": (b'"a\x07b"', "a\ufffdb"),
        "surrogate": (b'"x\\ud83d"', "x\ufffd"),
        "plain": (b'"Anna"', "Anna"),
    }
    for call_id, (raw, _) in names.items():
        kazoo.publish_raw("call.CHANNEL_CREATE.x", body(call_id, raw))
    kazoo.publish_raw("call.CHANNEL_CREATE.x", b"\xef\xbb\xbf" + body("bom", b'"bom"'))
    kazoo.publish_raw("call.CHANNEL_CREATE.x", body("nan", b'"nan"', b"NaN"))
    kazoo.publish_raw("call.CHANNEL_CREATE.x", body("huge", b'"huge"', b"1e400"))
    kazoo.publish_raw("call.CHANNEL_CREATE.x", body("twice", b'"first","Caller-ID-Name":"last"'))
    for bad in (b"no json", b"[]", b"\xff\xfe{\x00"):
        kazoo.publish_raw("call.CHANNEL_CREATE.x", bad)
    arrivals = receiver.wait_for(16)
    by_call = {
        "json": {one["call_id"]: one for one in (json.loads(a.body) for a in arrivals if a.path == "/json")},
        "form": {a.form["call_id"]: a.form for a in arrivals if a.path == "/form"},
    }
    expected = {call_id: name for call_id, (_, name) in names.items()}
    expected |= {"bom": "bom", "nan": "nan", "huge": "huge", "twice": "last"}
    for received in by_call.values():
        assert {call_id: one["caller_id_name"] for call_id, one in received.items()} == expected
    metrics = requests.get(f"http://127.0.0.1:{node.port}/metrics", timeout=10).text
    assert 'kazoo_bridge_events_unreadable_total{reason="not_json"} 2.0' in metrics
    assert 'kazoo_bridge_events_unreadable_total{reason="not_an_object"} 1.0' in metrics
    assert "kazoo_bridge_events_repaired_total 6.0" in metrics


def test_nothing_in_a_message_writes_a_line_of_the_log_or_controls_a_terminal(
    node: NodeProcess, kazoo: Kazoo
) -> None:
    hostile = "x\r\n2026-01-01 FORGED\x1b]0;owned\x07\x85\u2028\u2029"
    kazoo.publish_raw(f"call.CHANNEL_CREATE.{hostile}", json.dumps(call_event(None, "c")).encode())
    kazoo.publish_raw(f"call.CHANNEL_CREATE.{hostile}", b"no json")
    eventually(lambda: node.log_text().count("FORGED") >= 2, "both lines in the log")
    text = node.log.read_bytes().decode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", text)
    assert not re.search("^\t?2026-01-01 FORGED", text, re.MULTILINE)
    assert "\\u001b]0;owned\\u0007" in text
