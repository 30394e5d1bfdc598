"""The service conforms to its OpenAPI document: schemathesis calls every operation of a running service."""

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
from kazoo_bridge.interfaces import Queue, Topic
from kazoo_bridge.kazoo import Event
from tests.calls.switch import SwitchNode, channel, listed
from tests.integration.amqp_harness import is_available, running_bus, until
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.web_receiver import WebReceiver

#: Seconds for which schemathesis may run: no measure of the service, but of how many share the processor.
_RUN_TIMEOUT = 500

pytestmark = pytest.mark.timeout(_RUN_TIMEOUT + 60)

ACCOUNT, CHILD, STRANGER, UNKNOWN, DOOMED = "a" * 32, "b" * 32, "c" * 32, "d" * 32, "e" * 32

#: Every answer has to be in the document. Answers that are not HTTP, or too slow, are errors too.
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
new_calls_per_minute = 6000
[webhooks]
log_successful_attempts = true
disable_disabler = true
retry_schedule_s = [1]
"""

#: Streams do not end, so that no stream is opened here. The coverage phase tries every limit of every
#: parameter where that adds something: one list stands for all lists, a hook is created, replaced and changed
#: with the same document, commands have too many forms, and unknown sockets and channels cost a time-out
#: each. All of these are still called with random values.
#: A stream has no end, the end of the token would be that of all requests, and there are no users to log in.
_NOT_CALLED = ["streamEvents", "logOut", "logInUser"]

#: Operations that random values need not reach with data: they need a super-admin, or ids of users and their
#: calls; and deliveries may be under way again by then (`wait_for_dead_delivery` has read one).
_PERHAPS_WITHOUT_DATA = [
    "GET /v2/channels",
    "GET /v2/nodes",
    "GET /v2/traces/{trace_id}",
    "POST /v2/auth/tokeninfo",
    "POST /pivot/{pivot_point_id}/{secret}/cdr",  # answers without content
    # A request waits at another point than the usual one, and its id is new.
    "GET /v2/accounts/{account_id}/pivots/{pivot_point_id}/requests",
    "POST /v2/accounts/{account_id}/pivots/{pivot_point_id}/requests/{pivot_id}",
    # The local directory knows no people.
    *(f"GET /v2/accounts/{{account_id}}/{kind}s" for kind in ("user", "device", "group")),
    *(f"GET /v2/accounts/{{account_id}}/{kind}s/{{{kind}_id}}" for kind in ("user", "device", "group")),
    *(
        f"GET /v2/accounts/{{account_id}}/{kind}s/{{{kind}_id}}/channels"
        for kind in ("user", "device", "group")
    ),
    # The directory knows no telephones.
    *(
        f"{verb} /v2/accounts/{{account_id}}/{kind}s/{{{kind}_id}}/quickcall/{{number}}"
        for verb in ("GET", "POST")
        for kind in ("user", "device")
    ),
    "GET /v2/accounts/{account_id}/webhooks/{hook_id}/deliveries",
    "POST /v2/accounts/{account_id}/webhooks/{hook_id}/deliveries/{delivery_id}/retry",
]

_SETTINGS = f"""
hooks = {json.dumps(str(Path(__file__).with_name("openapi_cases.py")))}
continue-on-failure = true
request-timeout = 60
[generation]
deterministic = true
max-examples = 5
[phases.stateful]
inference.algorithms = []
max-steps = 4
generation.max-examples = 20
[[operations]]
include-operation-id = {json.dumps(_NOT_CALLED)}
enabled = false
[[operations]]
include-operation-id-regex = "^(list(?!Hooks$)|readSamples$|replaceHook$|.*(all|Channel|Metaflow|Socket)$)"
phases.coverage.enabled = false
[[operations]]
include-operation-id = ["commandChannel", "placeCall", "sendMetaflow"]
phases.fuzzing.generation.max-examples = 20
"""


def close_schema(schema: Any) -> Any:
    """Return a schema that forbids keys which it does not name, except where it permits them explicitly."""
    if isinstance(schema, list):
        return [close_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: close_schema(one) for name, one in schema.items()}
    return (
        {"additionalProperties": False, **made}
        if isinstance(made.get("properties"), dict) and made.get("type") == "object"
        else made
    )


#: By operation: the statuses of its answers, each with whether ``data`` was not empty.
Answers = dict[str, set[tuple[int, bool]]]


@define
class ServiceHarness:
    """A running service that has something of everything.

    `known` are existing values of the path parameters by name, `doomed` those that may be deleted.
    """

    service: NodeProcess
    token: str
    uri: str
    api_key: str
    known: dict[str, list[str]]
    doomed: dict[str, str]


@pytest.fixture
def service(vhost_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeProcess]:
    monkeypatch.setenv("KAZOO_BRIDGE__HTTP__REQUESTS_PER_SECOND", "0")
    service = NodeProcess(tmp_path, vhost_uri, _CONFIG)
    service.start()
    yield service
    service.stop()


@pytest_twisted.async_yield_fixture
async def harness(
    service: NodeProcess, vhost_uri: str, receiver: WebReceiver
) -> AsyncIterator[ServiceHarness]:
    async with running_bus(vhost_uri) as switch:
        SwitchNode(
            switch,
            {"call-1": channel(Other_Leg_Call_ID="call-2")},
            [listed(), listed("call-2", timestamp=63961574401)],
        )
        topics = frozenset({Topic("callmgr", "originate.resource.req")})
        switch.consume(Queue(topics=topics, acknowledge=False), lambda event: answer_call(switch, event))
        await until(is_available(switch), "the switch")
        token = await deferToThread(create_accounts, service)
        streams = [await deferToThread(open_stream, service, token) for _ in range(2)]
        harness = await deferToThread(create_hooks, service, token, receiver)
        await wait_for_dead_delivery(harness, switch)
        yield harness
        for stream in streams:
            stream.close()


def answer_call(switch: AmqpBus, request: Event) -> None:
    """Answer the telephone of a new call."""
    reply = {"Event-Category": "resource", "Event-Name": "originate_resp", "Application-Response": "SUCCESS"}
    call_id = request.body["Outbound-Call-ID"]
    switch.reply(request, {**reply, "Call-ID": call_id, "Msg-ID": request.message_id}).addErrback(
        lambda _: None
    )


def create_accounts(service: NodeProcess) -> str:
    """Create the accounts; returns a token."""
    service.command("account", "create", "--id", ACCOUNT)
    service.command("account", "create", "--id", CHILD, "--parent", ACCOUNT)
    service.command("account", "create", "--id", STRANGER)
    service.command("account", "create", "--id", DOOMED, "--parent", ACCOUNT)
    token = service.command("token", "create", "--account", ACCOUNT)
    eventually(lambda: service.rest("GET", f"/v2/accounts/{CHILD}", token).status_code == 200, "the accounts")
    return token


def open_stream(service: NodeProcess, token: str) -> requests.Response:
    """Open a stream of events, which counts as a socket."""
    url = f"http://127.0.0.1:{service.port}/v2/accounts/{ACCOUNT}/events?binding=call.*.*"
    stream = requests.get(url, headers={"X-Auth-Token": token}, stream=True, timeout=120)
    [answer] = service.rest("GET", "/openapi.json").json()["paths"]["/v2/accounts/{account_id}/events"][
        "get"
    ]["responses"]["200"]["content"]
    assert (stream.status_code, stream.headers["Content-Type"]) == (200, answer)
    assert "X-Request-ID" in stream.headers
    return stream


def create_hooks(service: NodeProcess, token: str, receiver: WebReceiver) -> ServiceHarness:
    """Create hooks that fail; returns what the service has."""
    receiver.status = 500
    hook = {"name": "failing", "uri": receiver.url, "hook": "channel_create", "retries": 0}
    path = f"/v2/accounts/{ACCOUNT}"
    hooks = [service.rest("PUT", f"{path}/webhooks", token, hook).json()["data"]["id"] for _ in range(2)]
    # Its delivery waits until the end, whatever schemathesis does to the other hooks.
    service.rest("PUT", f"{path}/webhooks", token, {**hook, "retry_schedule_s": [86_400]})
    sockets = [
        one["websocket_session_id"] for one in service.rest("GET", f"{path}/websockets", token).json()["data"]
    ]
    points = [
        service.rest(
            "PUT",
            f"{path}/pivots",
            token,
            {"name": name, "timeout_ms": 100, "fallback": {"module": "hangup"}},
        ).json()["data"]
        for name in ("day", "night", "door")
    ]
    before = {one["id"] for one in service.rest("GET", f"{path}/tokens", token).json()["data"]}
    service.command("token", "create", "--account", ACCOUNT)
    tokens = {one["id"] for one in service.rest("GET", f"{path}/tokens", token).json()["data"]}
    known = {
        "token_id": list(tokens - before),
        "pivot_point_id": [points[0]["id"]],
        # The secret of the first may be renewed.
        "door_point_id": [points[2]["id"]],
        "secret": [points[2]["url"].rpartition("/")[2]],
        "account_id": [ACCOUNT, CHILD, STRANGER, UNKNOWN],
        "hook_id": hooks[:1],
        "sample_id": ["webhooks_channel_create", "webhooks_notifications"],
        "socket_id": sockets[:1],
        "call_id": ["call-1"],
        "name": ["index.html"],
        "app_id": ["webhooks"],
    }
    api_key = service.command("api-key", "create", "--account", ACCOUNT)
    doomed = {
        "account_id": DOOMED,
        "hook_id": hooks[1],
        "socket_id": sockets[1],
        "pivot_point_id": points[1]["id"],
    }
    return ServiceHarness(service, token, receiver.url, api_key, known, doomed)


async def wait_for_dead_delivery(harness: ServiceHarness, switch: AmqpBus) -> None:
    """Publish an event, and wait until its delivery is dead."""
    body = {
        "Event-Category": "call_event",
        "Event-Name": "CHANNEL_CREATE",
        "Call-ID": "call-1",
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
    }
    await switch.publish("callevt", "call.CHANNEL_CREATE.call-1", body)
    path = f"/v2/accounts/{ACCOUNT}/webhooks/{harness.known['hook_id'][0]}/deliveries?status=dead"
    dead = await deferToThread(
        eventually, lambda: harness.service.rest("GET", path, harness.token).json()["data"], "a dead delivery"
    )
    harness.known["delivery_id"] = [dead[0]["id"]]
    path = f"/v2/accounts/{ACCOUNT}/webhooks/{harness.known['hook_id'][0]}/attempts"
    attempts = await deferToThread(harness.service.rest, "GET", path, harness.token)
    harness.known["attempt_id"] = [attempts.json()["data"][0]["id"]]


def fetch_closed_document(harness: ServiceHarness) -> dict[str, Any]:
    """Return the document with closed schemas.

    The conditions of metaflows are left out, because schemathesis cannot meet them.
    """
    document: dict[str, Any] = harness.service.rest("GET", "/openapi.json").json()
    del document["components"]["schemas"]["MetaflowStep"]["allOf"]
    return {
        **document,
        "paths": close_schema(document["paths"]),
        "components": close_schema(document["components"]),
    }


def run_schemathesis(
    harness: ServiceHarness, folder: Path, document: dict[str, Any], *more: str
) -> tuple[subprocess.CompletedProcess[str], Answers]:
    """Run schemathesis; returns the finished process, and the answers of each operation."""
    (folder / "closed.json").write_text(json.dumps(document))
    (folder / "schemathesis.toml").write_text(_SETTINGS)
    answers = folder / "answers"
    answers.write_text("")
    case_data = {
        "uri": harness.uri,
        "api_key": harness.api_key,
        "known": harness.known,
        "doomed": harness.doomed,
        "answers": str(answers),
    }
    command = [
        *(
            str(Path(sys.executable).parent / "schemathesis"),
            "--config-file",
            str(folder / "schemathesis.toml"),
        ),
        *("run", str(folder / "closed.json"), "--url", f"http://127.0.0.1:{harness.service.port}"),
        *("--header", f"X-Auth-Token:{harness.token}", "--checks", ",".join(_CHECKS)),
        *("--no-color", "--warnings", "off", *more),
    ]
    environment = {**os.environ, "OPENAPI_DATA": json.dumps(case_data)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_RUN_TIMEOUT,
        check=False,
    )
    found: Answers = {}
    for operation, status, has_data in map(json.loads, answers.read_text().splitlines()):
        found.setdefault(operation, set()).add((status, has_data))
    return done, found


@pytest_twisted.ensureDeferred
async def test_the_service_conforms_to_its_document(harness: ServiceHarness, tmp_path: Path) -> None:
    document = fetch_closed_document(harness)
    done, answers = await deferToThread(run_schemathesis, harness, tmp_path, document)
    assert done.returncode == 0, done.stdout + done.stderr
    # Every operation has succeeded at least once, with data.
    without_success = {
        f"{verb.upper()} {path}"
        for path, operations in document["paths"].items()
        for verb, operation in operations.items()
        if operation["operationId"] not in _NOT_CALLED
        and f"{verb.upper()} {path}" not in _PERHAPS_WITHOUT_DATA
        and not any(
            (status < 300 and has_data) or status == 302
            for status, has_data in answers.get(f"{verb.upper()} {path}", ())
        )
    }
    assert without_success == set(), answers
    assert {400, 401, 403, 404, 412} <= {status for found in answers.values() for status, _ in found}


@pytest_twisted.ensureDeferred
async def test_a_wrong_document_is_detected(harness: ServiceHarness, tmp_path: Path) -> None:
    document = fetch_closed_document(harness)
    del document["components"]["schemas"]["Attempt"]["properties"]["retries"]
    done, answers = await deferToThread(
        run_schemathesis,
        harness,
        tmp_path,
        document,
        "--include-operation-id",
        "listAttempts",
        "--phases",
        "fuzzing",
    )
    assert (200, True) in answers["GET /v2/accounts/{account_id}/webhooks/attempts"]
    assert (done.returncode, "retries" in done.stdout) == (1, True), done.stdout + done.stderr
