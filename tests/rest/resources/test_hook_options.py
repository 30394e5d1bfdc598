"""Options of single hooks, over REST to a real receiver: what they send, when, and what is never shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.logger import capturedLogs
from twisted.web.server import Request

from kazoo_bridge.config import Webhooks
from kazoo_bridge.kazoo import to_gregorian
from tests.rest.harness import ACCOUNT, HOOK_DOCUMENT, RestHarness, hooks_path, make_call, until
from tests.webhooks.receiving import Receiver

MASK = "********"


@pytest.fixture
def webhooks() -> Webhooks:
    return evolve(Webhooks(), log_successful_attempts=True)


class EchoingReceiver(Receiver):
    """Answers with the headers of the request, like a debugging service."""

    def render(self, request: Request) -> Any:
        super().render(request)
        request.setHeader("X-Echo", self.received[-1].headers.get("authorization", ""))
        return json.dumps(self.received[-1].headers).encode()


@pytest_twisted.async_yield_fixture
async def echoing() -> Any:
    receiver = EchoingReceiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


async def attempts_of(rest: RestHarness, hook_id: str, count: int) -> Any:
    """The attempts of a hook, when there are `count`."""

    async def listed() -> Any:
        data = await rest.get_data(f"{hooks_path(hook_id=hook_id)}/attempts")
        return data if len(data) == count else None

    return await until(listed)


async def publish(rest: RestHarness, call_id: str = "c1", **body: Any) -> None:
    await rest.node.bus.publish(
        "callevt", f"call.CHANNEL_CREATE.{call_id}", {**make_call(ACCOUNT, call_id), **body}
    )


def dropped(rest: RestHarness) -> int:
    return rest.node.webhooks._missed_events.totals["too_old"]


@pytest_twisted.ensureDeferred
async def test_success_codes_decide_what_is_delivered(rest: RestHarness, receiver: Receiver) -> None:
    receiver.statuses = [204, 302, 200, 409]
    hook_id = await rest.create_hook(uri=receiver.url, retries=1, success_codes=["2xx", "409"])
    for call_id in ("c1", "c2"):
        await publish(rest, call_id)
    await receiver.arrived(3)
    attempts = await attempts_of(rest, hook_id, 3)
    assert sorted((one["resp_status_code"], one["result"]) for one in attempts) == [
        ("200", "success"),
        ("204", "success"),
        ("302", "failure"),
    ]
    assert (await rest.get_hook(hook_id))["success_codes"] == ["2xx", "409"]
    await rest("PATCH", hooks_path(hook_id=hook_id), {"success_codes": None})
    assert "success_codes" not in await rest.get_hook(hook_id)


@pytest_twisted.ensureDeferred
async def test_own_headers_are_sent_and_never_shown(rest: RestHarness, echoing: EchoingReceiver) -> None:
    published: list[Any] = []
    publish_message = rest.node.bus.publish

    def record(*arguments: Any, **options: Any) -> Any:
        published.append(arguments)
        return publish_message(*arguments, **options)

    rest.node.bus.publish = record  # type: ignore[method-assign]
    headers = {"Authorization": "Bearer hunter2-token", "X-Api-Key": "hunter2-key"}
    seen: list[str] = []
    with capturedLogs() as logs:
        made = await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": echoing.url, "headers": headers})
        hook_id = made.json_body["data"]["id"]
        path = hooks_path(hook_id=hook_id)
        seen += [made.text_body, str(made.headers)]
        for verb, target, data in (
            ("GET", path, None),
            ("GET", hooks_path(), None),
            ("PATCH", path, {"name": "other"}),
            ("POST", f"{path}/test", None),
            ("PATCH", path, {"headers": {"X-Other": "hunter2\r\n"}}),
            ("GET", f"{hooks_path()}?filter_headers.x-api-key=hunter2-key", None),
        ):
            response = await rest(verb, target, data)
            seen += [response.text_body, str(response.headers)]
        echoing.statuses = [500]
        await publish(rest, "c1")
        await attempts_of(rest, hook_id, 2)
        for target in (f"{path}/attempts", f"{path}/deliveries", f"{hooks_path()}/deliveries"):
            seen.append((await rest("GET", target)).text_body)
        seen.append((await rest("DELETE", path)).text_body)
    for request in echoing.received:
        assert (request.headers["authorization"], request.headers["x-api-key"]) == tuple(headers.values())
    assert len(echoing.received) >= 2
    for text in (*seen, str(published), str(logs)):
        assert "hunter2" not in text
    assert '"x-echo":"********"' in "".join(seen)
    assert made.json_body["data"]["headers"] == {"authorization": MASK, "x-api-key": MASK}


@pytest_twisted.ensureDeferred
async def test_a_mask_that_is_written_back_keeps_the_value(rest: RestHarness, receiver: Receiver) -> None:
    hook_id = await rest.create_hook(uri=receiver.url, headers={"X-A": "one", "X-B": "two"})
    path = hooks_path(hook_id=hook_id)

    async def sent() -> dict[str, str]:
        assert (await rest("POST", f"{path}/test")).code == 200
        return {
            name: value for name, value in receiver.received[-1].headers.items() if name in ("x-a", "x-b")
        }

    read = await rest.get_hook(hook_id)
    assert (await rest("POST", path, read)).code == 200
    assert await sent() == {"x-a": "one", "x-b": "two"}
    assert (await rest("PATCH", path, {"headers": {"X-A": "three"}})).code == 200
    assert await sent() == {"x-a": "three", "x-b": "two"}
    assert (await rest("PATCH", path, {"headers": {"x-b": None}})).code == 200
    assert await sent() == {"x-a": "three"}
    refused = await rest("PATCH", path, {"headers": {"x-b": MASK}})
    assert (refused.code, list(refused.json_body["data"])) == (400, ["headers.x-b"])
    assert (await rest("PATCH", path, {"headers": None})).code == 200
    assert await sent() == {}
    assert "headers" not in await rest.get_hook(hook_id)


@pytest_twisted.ensureDeferred
async def test_headers_survive_disabling_and_rotating(rest: RestHarness, receiver: Receiver) -> None:
    hook_id = await rest.create_hook(uri=receiver.url, headers={"X-A": "one"})
    await rest("POST", f"{hooks_path(hook_id=hook_id)}/secret")
    await rest.disable_hook(hook_id)
    await rest("PATCH", hooks_path(), {"re-enable": True})
    await publish(rest)
    await receiver.arrived(1)
    assert receiver.received[0].headers["x-a"] == "one"


@pytest_twisted.ensureDeferred
async def test_a_timeout_of_the_hook_ends_an_attempt(rest: RestHarness, receiver: Receiver) -> None:
    receiver.statuses = [0]
    hook_id = await rest.create_hook(uri=receiver.url, timeout_ms=100)
    attempt = (await rest("POST", f"{hooks_path(hook_id=hook_id)}/test")).json_body["data"]
    assert attempt["client_error"] == "no complete answer within 0.1 s"


@pytest_twisted.ensureDeferred
async def test_a_schedule_of_the_hook_without_retries(rest: RestHarness, receiver: Receiver) -> None:
    receiver.statuses = [500]
    hook_id = await rest.create_hook(uri=receiver.url, retries=0, retry_schedule_s=[])
    await publish(rest)

    async def dead() -> Any:
        return await rest.get_data(f"{hooks_path(hook_id=hook_id)}/deliveries?status=dead")

    (delivery,) = await until(dead)
    assert delivery["attempts"] == 1


@pytest_twisted.ensureDeferred
async def test_an_event_that_is_too_old_is_not_sent(rest: RestHarness, receiver: Receiver) -> None:
    now = to_gregorian(reactor.seconds())
    await rest.create_hook(uri=receiver.url, format="json", max_age_s=30)
    await publish(rest, "old", Timestamp=now - 60)
    await publish(rest, "new", Timestamp=now)
    await receiver.arrived(1)
    assert [json.loads(request.body)["call_id"] for request in receiver.received] == ["new"]
    assert dropped(rest) == 1
    metrics = (await rest("GET", "/metrics")).text_body
    assert 'kazoo_bridge_events_missed_total{reason="too_old"} 1.0' in metrics


@pytest_twisted.ensureDeferred
async def test_operators_select_events(rest: RestHarness, receiver: Receiver) -> None:
    modifiers = {
        "caller_id_number": {"$exists": True, "$prefix": "+49", "$not": ["+49110", "+49112"]},
        "call_direction": {"$in": ["inbound", "outbound"]},
    }
    await rest.create_hook(uri=receiver.url, format="json", modifiers=modifiers)
    for number in ("+4930", "+4330", "+49112", "+4989"):
        await publish(rest, number, **{"Caller-ID-Number": number, "Call-Direction": "inbound"})
    await publish(rest, "without")
    await publish(rest, "last", **{"Caller-ID-Number": "+4940"})
    await receiver.arrived(3)
    assert {json.loads(request.body)["call_id"] for request in receiver.received} == {
        "+4930",
        "+4989",
        "last",
    }


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"modifiers": {"a.b": {"$regex": "x"}}}, "modifiers.a.b.$regex"),
        ({"modifiers": {"a": {"$not": {"$gte": "x"}}}}, "modifiers.a.$not.$gte"),
        ({"headers": {"Host": "x"}}, "headers.Host"),
        ({"success_codes": ["ok"]}, "success_codes.0"),
        ({"timeout_ms": 1}, "timeout_ms"),
        ({"retry_schedule_s": [0]}, "retry_schedule_s.0"),
        ({"max_age_s": 0}, "max_age_s"),
        ({"signature": "ed25519"}, "secret"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_invalid_option_is_named(rest: RestHarness, document: dict[str, Any], field: str) -> None:
    refused = await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, **document})
    assert (refused.code, list(refused.json_body["data"])) == (400, [field])
