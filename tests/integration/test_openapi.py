"""The service does what its OpenAPI document says: schemathesis asks it everything, with a broker, a
switch and a receiver behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import requests
from attrs import define
from twisted.internet.threads import deferToThread

from kazoo_bridge.bus.amqp import AmqpBus
from tests.calls.switch import SwitchNode, channel, listed
from tests.integration.amqp_harness import is_available, running_bus, until
from tests.integration.bridge_process import BridgeProcess, eventually
from tests.integration.web_receiver import WebReceiver

pytestmark = pytest.mark.timeout(180)

ACCOUNT, CHILD, STRANGER, UNKNOWN = "a" * 32, "b" * 32, "c" * 32, "d" * 32

#: Whatever the service says is to be in the document. One that speaks no HTTP, or is slower than this, is found out too.
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
)

_CONFIG = """
[calls]
query_timeout_ms = 700
[webhooks]
log_successful_attempts = true
disable_disabler = true
retry_schedule_s = [1]
"""

#: Streams do not end, so none is opened here. Every bound of every parameter is tried where that says something new: of lists one
#: stands for all, commands have too many forms, and single sockets and channels would be waited for in vain. Of all of these some of
#: what can be asked is drawn at random all the same.
_SETTINGS = f"""
hooks = {json.dumps(str(Path(__file__).with_name("openapi_cases.py")))}
continue-on-failure = true
request-timeout = 20
[generation]
deterministic = true
max-examples = 5
[phases.stateful]
inference.algorithms = []
max-steps = 4
generation.max-examples = 20
[[operations]]
include-operation-id = "streamEvents"
enabled = false
[[operations]]
include-operation-id-regex = "^(list(?!Hooks$)|readSamples$|.*(Channel|Metaflow|Socket)$)"
phases.coverage.enabled = false
[[operations]]
include-operation-id = ["commandChannel", "sendMetaflow"]
phases.fuzzing.generation.max-examples = 20
"""


def closed(schema: Any) -> Any:
    """The same schema, without room for keys that it does not name; where it gives room in so many words,
    that stays."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(one) for name, one in schema.items()}
    return (
        {"additionalProperties": False, **made}
        if isinstance(made.get("properties"), dict) and made.get("type") == "object"
        else made
    )


#: By operation: statuses, each with whether there was anything in the answer.
Answers = dict[str, set[tuple[int, bool]]]


@define
class Stage:
    """A bridge that has something of everything."""

    bridge: BridgeProcess
    token: str
    uri: str
    api_key: str
    known: dict[str, list[str]]
    doomed: dict[str, str]


@pytest.fixture
def receiver() -> Iterator[WebReceiver]:
    receiver = WebReceiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def bridge(vhost_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BridgeProcess]:
    monkeypatch.setenv("KAZOO_BRIDGE__HTTP__REQUESTS_PER_SECOND", "0")
    bridge = BridgeProcess(tmp_path, vhost_uri, _CONFIG)
    bridge.start()
    yield bridge
    bridge.stop()


@pytest_twisted.async_yield_fixture
async def stage(bridge: BridgeProcess, vhost_uri: str, receiver: WebReceiver) -> AsyncIterator[Stage]:
    async with running_bus(vhost_uri) as switch:
        SwitchNode(
            switch,
            {"call-1": channel(Other_Leg_Call_ID="call-2")},
            [listed(), listed("call-2", timestamp=63961574401)],
        )
        await until(is_available(switch), "the switch")
        token = await deferToThread(inhabited, bridge)
        streams = [await deferToThread(listening, bridge, token) for _ in range(2)]
        stage = await deferToThread(furnished, bridge, token, receiver)
        await given_up(stage, switch)
        yield stage
        for stream in streams:
            stream.close()


def inhabited(bridge: BridgeProcess) -> str:
    """Accounts; a token."""
    bridge.command("account", "create", "--id", ACCOUNT)
    bridge.command("account", "create", "--id", CHILD, "--parent", ACCOUNT)
    bridge.command("account", "create", "--id", STRANGER)
    token = bridge.command("token", "create", "--account", ACCOUNT)
    eventually(lambda: bridge.rest("GET", f"/v2/accounts/{CHILD}", token).status_code == 200, "the accounts")
    return token


def listening(bridge: BridgeProcess, token: str) -> requests.Response:
    """A stream of events, which counts as a socket."""
    url = f"http://127.0.0.1:{bridge.port}/v2/accounts/{ACCOUNT}/events?binding=call.*.*"
    stream = requests.get(url, headers={"X-Auth-Token": token}, stream=True, timeout=120)
    [answer] = bridge.rest("GET", "/openapi.json").json()["paths"]["/v2/accounts/{account_id}/events"]["get"][
        "responses"
    ]["200"]["content"]
    assert (stream.status_code, stream.headers["Content-Type"]) == (200, answer)
    assert "X-Request-ID" in stream.headers
    return stream


def furnished(bridge: BridgeProcess, token: str, receiver: WebReceiver) -> Stage:
    """Hooks that fail."""
    receiver.status = 500
    hook = {"name": "failing", "uri": receiver.url, "hook": "channel_create", "retries": 0}
    path = f"/v2/accounts/{ACCOUNT}"
    hooks = [bridge.rest("PUT", f"{path}/webhooks", token, hook).json()["data"]["id"] for _ in range(2)]
    sockets = [
        one["websocket_session_id"] for one in bridge.rest("GET", f"{path}/websockets", token).json()["data"]
    ]
    known = {
        "account_id": [ACCOUNT, CHILD, STRANGER, UNKNOWN],
        "hook_id": hooks[:1],
        "sample_id": ["webhooks_channel_create", "webhooks_notifications"],
        "socket_id": sockets[:1],
        "call_id": ["call-1"],
        "name": ["index.html"],
    }
    api_key = bridge.command("api-key", "create", "--account", ACCOUNT)
    return Stage(bridge, token, receiver.url, api_key, known, {"hook_id": hooks[1], "socket_id": sockets[1]})


async def given_up(stage: Stage, switch: AmqpBus) -> None:
    """Wait until a delivery of the hook that stays was given up."""
    body = {
        "Event-Category": "call_event",
        "Event-Name": "CHANNEL_CREATE",
        "Call-ID": "call-1",
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
    }
    await switch.publish("callevt", "call.CHANNEL_CREATE.call-1", body)
    path = f"/v2/accounts/{ACCOUNT}/webhooks/{stage.known['hook_id'][0]}/deliveries?status=dead"
    dead = await deferToThread(
        eventually, lambda: stage.bridge.rest("GET", path, stage.token).json()["data"], "a dead delivery"
    )
    stage.known["delivery_id"] = [dead[0]["id"]]


def described(stage: Stage) -> dict[str, Any]:
    """The document, without room for what it does not name; and without the conditions of metaflows, which
    schemathesis cannot meet."""
    document: dict[str, Any] = stage.bridge.rest("GET", "/openapi.json").json()
    del document["components"]["schemas"]["MetaflowStep"]["allOf"]
    return {**document, "paths": closed(document["paths"]), "components": closed(document["components"])}


def asked(
    stage: Stage, folder: Path, document: dict[str, Any], *more: str
) -> tuple[subprocess.CompletedProcess[str], Answers]:
    """A run of schemathesis, and how each operation was answered."""
    (folder / "closed.json").write_text(json.dumps(document))
    (folder / "schemathesis.toml").write_text(_SETTINGS)
    answers = folder / "answers"
    answers.write_text("")
    told = {
        "uri": stage.uri,
        "api_key": stage.api_key,
        "known": stage.known,
        "doomed": stage.doomed,
        "answers": str(answers),
    }
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", folder / "schemathesis.toml", "run", folder / "closed.json",
        "--url", f"http://127.0.0.1:{stage.bridge.port}", "--header", f"X-Auth-Token:{stage.token}", "--checks", ",".join(_CHECKS),
        "--no-color", "--warnings", "off", *more,
    ]  # fmt: skip
    environment = {**os.environ, "OPENAPI_STAGE": json.dumps(told)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    found: Answers = {}
    for operation, status, told_something in map(json.loads, answers.read_text().splitlines()):
        found.setdefault(operation, set()).add((status, told_something))
    return done, found


@pytest_twisted.ensureDeferred
async def test_the_service_does_what_its_document_says(stage: Stage, tmp_path: Path) -> None:
    document = described(stage)
    done, answers = await deferToThread(asked, stage, tmp_path, document)
    assert done.returncode == 0, done.stdout + done.stderr
    # It came as far as what is behind the door, everywhere, and something was there.
    fruitless = {
        f"{verb.upper()} {path}"
        for path, operations in document["paths"].items()
        for verb, operation in operations.items()
        if operation["operationId"] != "streamEvents"
        and not any(
            (status < 300 and told) or status == 302
            for status, told in answers.get(f"{verb.upper()} {path}", ())
        )
    }
    assert fruitless == set(), answers
    assert {400, 401, 403, 404, 412} <= {status for found in answers.values() for status, _ in found}


@pytest_twisted.ensureDeferred
async def test_a_document_that_is_wrong_is_found_out(stage: Stage, tmp_path: Path) -> None:
    document = described(stage)
    del document["components"]["schemas"]["Attempt"]["properties"]["retries"]
    done, answers = await deferToThread(
        asked, stage, tmp_path, document, "--include-operation-id", "listAttempts", "--phases", "fuzzing"
    )
    assert (200, True) in answers["GET /v2/accounts/{account_id}/webhooks/attempts"]
    assert (done.returncode, "retries" in done.stdout) == (1, True), done.stdout + done.stderr
