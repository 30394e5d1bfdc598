"""What happens to hooks beside their documents: attempts, health, tests, disabling, enabling again, limits, accounts that go."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from kazoo_bridge.interfaces import IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event, to_gregorian
from kazoo_bridge.storage.settings import LimitStore
from tests.rest.rest_client import ACCOUNT, CHILD, GOOD, STRANGER, Client, hooks
from tests.webhooks.receiving import Receiver


@pytest_twisted.async_yield_fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    made.url = await made.start()  # type: ignore[attr-defined]
    yield made
    await made.stop()


async def until(condition: Any) -> Any:
    """Poll until `await condition()` is true; its value."""
    deadline = reactor.seconds() + 15
    while not (value := await condition()):
        assert reactor.seconds() < deadline, "the condition never came true"
        await deferLater(reactor, 0.02)
    return value


def call(account_id: str, call_id: str) -> dict[str, Any]:
    return {
        "Event-Category": "call_event",
        "Event-Name": "CHANNEL_CREATE",
        "Call-ID": call_id,
        "Custom-Channel-Vars": {"Account-ID": account_id},
    }


async def happen(rest: Client, account_id: str = ACCOUNT, count: int = 1) -> None:
    for number in range(count):
        await rest.bridge.bus.publish(
            "callevt", f"call.CHANNEL_CREATE.{number}", call(account_id, f"{account_id[:1]}{number}")
        )


class Heard:
    """Messages of the bus, as they come."""

    def __init__(self, bus: IBus, *topics: Topic) -> None:
        self.events: list[Event] = []
        self._consumer: IConsumer = bus.consume(
            Queue(topics=frozenset(topics), acknowledge=False), self.events.append
        )  # type: ignore[arg-type]

    async def first(self) -> Event:
        await until(self._any)
        return self.events[0]

    async def _any(self) -> bool:
        return bool(self.events)


async def failing_hook(rest: Client, account_id: str = ACCOUNT, **more: Any) -> str:
    """A hook to a port where nobody listens, without retries."""
    made = await rest("PUT", hooks(account_id), {**GOOD, "retries": 0, **more})
    return str(made.json_body["data"]["id"])


async def document(rest: Client, hook_id: str, account_id: str = ACCOUNT) -> dict[str, Any]:
    data: dict[str, Any] = (await rest("GET", hooks(account_id, hook_id))).json_body["data"]
    return data


async def disable(rest: Client, hook_id: str, account_id: str = ACCOUNT) -> None:
    room = rest.bridge.webhooks
    stored = await room.hooks.get(account_id, hook_id)
    assert stored is not None
    assert await room.hooks.disable(account_id, hook_id, stored.revision, "too many failed attempts")


@pytest_twisted.ensureDeferred
async def test_attempts_are_listed_newest_first_and_filtered(rest: Client) -> None:
    first, second = await failing_hook(rest), await failing_hook(rest, name="second")
    await happen(rest)

    async def both() -> Any:
        listed = (await rest("GET", f"{hooks()}/attempts")).json_body["data"]
        return listed if {one["hook_id"] for one in listed} == {first, second} else None

    listed = await until(both)
    assert listed[0]["timestamp"] >= listed[-1]["timestamp"]
    assert abs(listed[0]["timestamp"] - to_gregorian(reactor.seconds())) < 30
    assert listed[0]["result"] == "failure"
    assert listed[0]["reason"] == "kazoo http client error"
    of_one = (await rest("GET", f"{hooks(hook_id=first)}/attempts")).json_body["data"]
    assert {one["hook_id"] for one in of_one} == {first}
    filtered = (await rest("GET", f"{hooks()}/attempts?filter_hook_id={second}")).json_body["data"]
    assert {one["hook_id"] for one in filtered} == {second}
    assert (await rest("GET", f"{hooks()}/attempts?created_to=1")).json_body["data"] == []
    assert (await rest("GET", f"{hooks(hook_id='f' * 32)}/attempts")).code == 404
    assert (await rest("GET", f"{hooks(STRANGER)}/attempts")).code == 403


@pytest_twisted.ensureDeferred
async def test_pages_of_attempts(rest: Client, receiver: Any) -> None:
    made = await rest("PUT", hooks(), {**GOOD, "uri": receiver.url})
    hook_id = made.json_body["data"]["id"]
    for _ in range(5):
        await rest("POST", f"{hooks(hook_id=hook_id)}/test")
    seen: list[str] = []
    path = f"{hooks()}/attempts?page_size=2"
    start_key = ""
    for expected in (2, 2, 1):
        page = (await rest("GET", path + (f"&start_key={start_key}" if start_key else ""))).json_body
        assert len(page["data"]) == page["page_size"] == expected
        seen += [one["event_id"] for one in page["data"]]
        start_key = page.get("next_start_key", "")
    assert len(set(seen)) == 5
    assert not start_key


@pytest_twisted.ensureDeferred
async def test_health_of_all_hooks(rest: Client, receiver: Any) -> None:
    """In one request, in the order of the list; attempts are counted from the hook's beginning on."""
    good: str = (await rest("PUT", hooks(), {**GOOD, "uri": receiver.url})).json_body["data"]["id"]
    bad = await failing_hook(rest)
    assert (await rest("POST", hooks(ACCOUNT, good) + "/test")).code == 200
    assert (await rest("POST", hooks(ACCOUNT, bad) + "/test")).code == 200
    assert (await rest("POST", hooks(ACCOUNT, bad) + "/test")).code == 200
    answer = await rest("GET", hooks() + "/health")
    assert [
        (one["id"], one["successes"], one["failures"], one["deliveries_waiting"])
        for one in answer.json_body["data"]
    ] == [
        (good, 1, 0, 0),
        (bad, 0, 2, 0),
    ]
    one_page = await rest("GET", hooks() + "/health?page_size=1")
    assert [one["id"] for one in one_page.json_body["data"]] == [good]
    assert one_page.json_body["next_start_key"]


@pytest_twisted.ensureDeferred
async def test_health_of_a_hook(rest: Client, receiver: Any) -> None:
    made = await rest("PUT", hooks(), {**GOOD, "uri": receiver.url, "retries": 0})
    hook_id = made.json_body["data"]["id"]
    assert made.json_body["data"]["health"] == {
        "successes": 0,
        "failures": 0,
        "failures_in_window": 0,
        "deliveries_waiting": 0,
    }
    await happen(rest)
    await receiver.arrived(1)

    async def succeeded() -> Any:
        return (await document(rest, hook_id))["health"].get("last_success")

    assert abs(await until(succeeded) - to_gregorian(reactor.seconds())) < 30
    receiver.statuses = [500]
    await rest.bridge.bus.publish("callevt", "call.CHANNEL_CREATE.x", call(ACCOUNT, "x"))

    async def failed() -> Any:
        return (await document(rest, hook_id))["health"]["failures_in_window"] >= 1

    await until(failed)
    assert "last_failure" in (await document(rest, hook_id))["health"]
    await rest("PATCH", hooks(hook_id=hook_id), {"enabled": False})
    assert (await document(rest, hook_id))["health"]["failures_in_window"] == 0


@pytest_twisted.ensureDeferred
async def test_what_was_read_can_be_written_back(rest: Client) -> None:
    hook_id = await failing_hook(rest)
    await disable(rest, hook_id)
    read = await document(rest, hook_id)
    assert (read["enabled"], read["disable_reason"]) == (False, "too many failed attempts")
    written = (await rest("POST", hooks(hook_id=hook_id), read)).json_body["data"]
    assert written == read
    enabled = (await rest("POST", hooks(hook_id=hook_id), {**read, "enabled": True})).json_body["data"]
    assert "disable_reason" not in enabled
    forged = (
        await rest("PATCH", hooks(hook_id=hook_id), {"disable_reason": "mine", "enabled": False})
    ).json_body["data"]
    assert "disable_reason" not in forged


@pytest_twisted.ensureDeferred
async def test_a_sample_is_sent_now(rest: Client, receiver: Any) -> None:
    made = await rest(
        "PUT", hooks(), {**GOOD, "uri": f"{receiver.url}/t", "custom_data": {"own": "1"}, "enabled": False}
    )
    hook_id = made.json_body["data"]["id"]
    sent = await rest("POST", f"{hooks(hook_id=hook_id)}/test")
    assert sent.code == 200
    assert sent.json_body["data"]["result"] == "success"
    assert sent.json_body["data"]["resp_status_code"] == "200"
    assert sent.json_body["data"]["resp_body"] == "ok"
    (received,) = receiver.received
    assert received.headers["x-hook-id"] == hook_id
    assert b"hook_event=channel_create" in received.body
    assert f"account_id={ACCOUNT}".encode() in received.body
    assert b"own=1" in received.body
    receiver.statuses = [503]
    failed = (await rest("POST", f"{hooks(hook_id=hook_id)}/test")).json_body["data"]
    assert (failed["result"], failed["resp_status_code"]) == ("failure", "503")
    listed = (await rest("GET", f"{hooks(hook_id=hook_id)}/attempts")).json_body["data"]
    assert [one["result"] for one in listed] == ["failure", "success"]
    assert (await document(rest, hook_id))["health"]["failures_in_window"] == 0
    assert sorted(failed["resp_headers"]) == ["content-type", "date", "server"]
    assert (await rest("POST", f"{hooks(hook_id='f' * 32)}/test")).code == 404
    assert (await rest("POST", f"{hooks(STRANGER, hook_id)}/test")).code == 403


@pytest.mark.parametrize(
    ("hook", "custom_data", "shown"),
    [
        ("all", {}, {"hook_event": "channel_create"}),
        ("parking", {}, {"event_name": "PARK_PARKED"}),
        ("object", {"type": "vmbox", "action": "doc_deleted"}, {"type": "vmbox", "action": "doc_deleted"}),
        ("object", {"type": "all", "action": "doc_edited"}, {"action": "doc_edited"}),
        ("notifications", {"type": "voicemail_new"}, {"event_name": "voicemail_new"}),
        ("inbound_fax", {}, {"event_name": "inbound_fax"}),
        ("conference", {"type": "mute-member"}, {"event": "mute-member"}),
        ("fax_status", {"type": "receive"}, {"fax_state": "receive"}),
        ("fax_status", {"type": "all"}, {"fax_state": "start"}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_sample_is_of_the_chosen_kind(
    rest: Client, receiver: Any, hook: str, custom_data: dict[str, str], shown: dict[str, str]
) -> None:
    hook_id = await failing_hook(rest, hook=hook, custom_data=custom_data, format="json", uri=receiver.url)
    await rest("POST", f"{hooks(hook_id=hook_id)}/test")
    payload = json.loads(receiver.received[0].body)
    assert {name: payload[name] for name in shown} == shown


@pytest_twisted.ensureDeferred
async def test_few_samples_are_sent_at_once(rest: Client, receiver: Any) -> None:
    hook_id = (await rest("PUT", hooks(), {**GOOD, "uri": receiver.url})).json_body["data"]["id"]
    receiver.statuses = [0]
    sending = [Deferred.fromCoroutine(rest("POST", f"{hooks(hook_id=hook_id)}/test")) for _ in range(5)]
    await receiver.arrived(5)
    refused = await rest("POST", f"{hooks(hook_id=hook_id)}/test")
    assert (refused.code, refused.json_body["error"]) == (429, "429")
    for request in receiver.hanging:
        request.finish()
    receiver.hanging.clear()
    for one in sending:
        assert (await one).json_body["data"]["result"] == "success"
    receiver.statuses = [200]
    assert (await rest("POST", f"{hooks(hook_id=hook_id)}/test")).code == 200


@pytest_twisted.ensureDeferred
async def test_a_hook_that_fails_too_often_is_disabled_and_the_bus_is_told(rest: Client) -> None:
    heard = Heard(rest.bridge.bus, Topic("notifications", "notifications.webhook.disabled"))
    hook_id, healthy = await failing_hook(rest), await failing_hook(rest, hook="channel_destroy")
    await happen(rest, count=6)

    async def disabled() -> bool:
        await rest.bridge.webhooks.auto_disabler.check()
        return not (await document(rest, hook_id))["enabled"]

    await until(disabled)
    assert (await document(rest, hook_id))["disable_reason"] == "too many failed attempts"
    assert (await document(rest, healthy))["enabled"]
    told = (await heard.first()).body
    assert (told["Account-ID"], told["Hook-ID"], told["Event-Name"]) == (ACCOUNT, hook_id, "webhook_disabled")
    listed = (await rest("GET", hooks())).json_body["data"]
    assert [one.get("disable_reason") for one in listed] == ["too many failed attempts", None]


@pytest_twisted.ensureDeferred
async def test_a_hook_whose_receiver_has_gone_is_disabled_at_once_and_loses_nothing(
    rest: Client, receiver: Any
) -> None:
    heard = Heard(rest.bridge.bus, Topic("notifications", "notifications.webhook.disabled"))
    hook_id = (await rest("PUT", hooks(), {**GOOD, "uri": receiver.url})).json_body["data"]["id"]
    receiver.statuses = [410]
    await happen(rest)
    told = (await heard.first()).body
    assert (told["Account-ID"], told["Hook-ID"]) == (ACCOUNT, hook_id)
    assert (await document(rest, hook_id))["disable_reason"] == "the receiver answered 410 Gone"

    async def waits() -> Any:
        return (await rest("GET", f"{hooks(hook_id=hook_id)}/deliveries")).json_body["data"]

    (waiting,) = await until(waits)
    assert waiting["attempts"] == 1
    receiver.statuses = [200]
    await rest("PATCH", hooks(), {"re-enable": True})

    async def arrived() -> bool:
        return len(receiver.received) == 2

    await until(arrived)
    assert (
        receiver.received[0].headers["webhook-id"]
        == receiver.received[1].headers["webhook-id"]
        == waiting["id"]
    )


@pytest_twisted.ensureDeferred
async def test_five_failures_do_not_disable_and_an_edit_forgets_them(rest: Client) -> None:
    hook_id = await failing_hook(rest)
    limits: LimitStore = rest.bridge.webhooks.stores.limits  # type: ignore[assignment]
    from kazoo_bridge.interfaces import AccountLimits

    await limits.put(ACCOUNT, AccountLimits(attempt_failure_count=10_000))
    await happen(rest)

    async def failures() -> int:
        count: int = (await document(rest, hook_id))["health"]["failures_in_window"]
        return count

    # The broker hands the event out again and again, so failures come by themselves.
    await until(failures)
    await rest.bridge.webhooks.auto_disabler.check()
    assert (await document(rest, hook_id))["enabled"]
    await limits.put(ACCOUNT, AccountLimits(attempt_failure_count=1))
    await rest.bridge.webhooks.auto_disabler.check()
    assert not (await document(rest, hook_id))["enabled"]
    await rest("PATCH", hooks(hook_id=hook_id), {"enabled": True, "uri": "http://127.0.0.1:9/other"})
    assert (await document(rest, hook_id))["enabled"]


@pytest.mark.parametrize(
    ("data", "field", "rule"),
    [
        ({}, "re-enable", "required"),
        ({"re-enable": None}, "re-enable", "required"),
        ({"enabled": True}, "re-enable", "required"),
        ({"re-enable": False}, "re-enable", "enum"),
        ({"re-enable": 1}, "re-enable", "enum"),
        ({"re-enable": "yes"}, "re-enable", "enum"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_collections_are_only_re_enabled(rest: Client, data: Any, field: str, rule: str) -> None:
    refused = await rest("PATCH", hooks(), data)
    assert refused.code == 400
    assert list(refused.json_body["data"][field]) == [rule]


@pytest.mark.parametrize(
    ("query", "raw"),
    [
        ("", b'{"data": {"re-enable": true}}'),
        ("", b'{"data": {"re-enable": "true"}}'),
        ("", b'{"re-enable": true}'),
        ("?re-enable=true", b""),
        ("?re-enable=true", b'{"data": {}}'),
    ],
)
@pytest_twisted.ensureDeferred
async def test_where_re_enable_may_stand(rest: Client, query: str, raw: bytes) -> None:
    hook_id = await failing_hook(rest)
    await disable(rest, hook_id)
    answered = await rest("PATCH", hooks() + query, raw=raw)
    assert (answered.code, answered.json_body["count"]) == (200, 1)
    assert (await document(rest, hook_id))["enabled"]


@pytest_twisted.ensureDeferred
async def test_re_enabling_over_rest(rest: Client) -> None:
    by_hand = await failing_hook(rest, enabled=False)
    own, of_child = await failing_hook(rest), await failing_hook(rest, CHILD)
    await disable(rest, own)
    await disable(rest, of_child, CHILD)
    answered = await rest("PATCH", hooks(), {"re-enable": True})
    assert (answered.code, answered.json_body["data"]) == (200, "hooks updated")
    assert [(await document(rest, one))["enabled"] for one in (by_hand, own)] == [False, True]
    assert not (await document(rest, of_child, CHILD))["enabled"]
    await disable(rest, own)
    await rest("PATCH", f"/v2/accounts/{ACCOUNT}/descendants/webhooks", {"re-enable": True})
    assert [
        (await document(rest, one, of))["enabled"]
        for one, of in ((by_hand, ACCOUNT), (own, ACCOUNT), (of_child, CHILD))
    ] == [
        False,
        True,
        True,
    ]
    assert (
        await rest("PATCH", f"/v2/accounts/{STRANGER}/descendants/webhooks", {"re-enable": True})
    ).code == 403


@pytest.mark.parametrize(
    ("action", "enabled"),
    [("account", [True, False]), ("descendants", [True, True]), ("other", [False, False])],
)
@pytest_twisted.ensureDeferred
async def test_re_enabling_over_the_bus(rest: Client, action: str, enabled: list[bool]) -> None:
    own, of_child = await failing_hook(rest), await failing_hook(rest, CHILD)
    await disable(rest, own)
    await disable(rest, of_child, CHILD)
    request = {
        "Event-Category": "configuration",
        "Event-Name": "doc_type_update",
        "Type": "webhook",
        "Action": action,
        "Account-ID": ACCOUNT,
    }
    ask: Any = rest.bridge.bus.request
    answers = await ask(
        "configuration", "configuration.doc_type_update.webhook", request, timeout=0.5, done_when=bool
    )
    assert [
        (await document(rest, own))["enabled"],
        (await document(rest, of_child, CHILD))["enabled"],
    ] == enabled
    assert [(one.body["Event-Category"], one.body["Event-Name"]) for one in answers] == [
        ("configuration", "doc_type_updated")
    ] * any(enabled)


@pytest_twisted.ensureDeferred
async def test_every_change_of_a_hook_is_announced(rest: Client) -> None:
    heard = Heard(rest.bridge.bus, Topic("configuration", "*.webhooks.webhook.*"))
    hook_id = await failing_hook(rest, uri="http://127.0.0.1:9/?secret=1")
    await rest("PATCH", hooks(hook_id=hook_id), {"name": "other"})
    await rest("DELETE", hooks(hook_id=hook_id))

    async def three() -> bool:
        return len(heard.events) == 3

    await until(three)
    assert [one.routing_key for one in heard.events] == [
        f"{action}.webhooks.webhook.{hook_id}" for action in ("doc_created", "doc_edited", "doc_deleted")
    ]
    assert all(one.body["Account-ID"] == ACCOUNT and b"secret" not in one.raw for one in heard.events)


@pytest_twisted.ensureDeferred
async def test_a_hook_changed_behind_our_back_is_read_again_when_the_bus_says_so(rest: Client) -> None:
    hook_id = await failing_hook(rest)
    rest.bridge.webhooks.registry.remove(hook_id)
    body = {
        "Event-Category": "configuration",
        "Event-Name": "doc_edited",
        "ID": hook_id,
        "Type": "webhook",
        "Database": "webhooks",
    }
    await rest.bridge.bus.publish("configuration", f"doc_edited.webhooks.webhook.{hook_id}", body)

    async def known() -> bool:
        return rest.bridge.webhooks.registry.get(hook_id) is not None

    await until(known)


@pytest_twisted.ensureDeferred
async def test_the_hooks_of_an_account_go_with_it(rest: Client) -> None:
    await failing_hook(rest, CHILD)
    token = (await rest.bridge.tokens.create(CHILD)).token
    body = {
        "Event-Category": "configuration",
        "Event-Name": "doc_deleted",
        "ID": CHILD,
        "Type": "account",
        "Account-ID": CHILD,
    }
    await rest.bridge.bus.publish("configuration", f"doc_deleted.accounts.account.{CHILD}", body)

    async def gone() -> bool:
        return (await rest("GET", hooks(CHILD))).code in (403, 404)

    await until(gone)
    assert (await rest("GET", hooks(CHILD), token=token)).code == 401
    assert not await rest.bridge.webhooks.hooks.for_account(CHILD)
    assert len(rest.bridge.webhooks.registry) == 0


@pytest_twisted.ensureDeferred
async def test_limits_are_set_from_above(rest: Client) -> None:
    path = f"/v2/accounts/{CHILD}/configs/webhooks"
    own_token = (await rest.bridge.tokens.create(CHILD)).token
    assert (await rest("GET", path)).json_body["data"] == {}
    set_to = await rest("POST", path, {"attempt_failure_count": 3})
    assert set_to.json_body["data"] == {"attempt_failure_count": 3}
    patched = await rest("PATCH", path, {"attempt_failure_expiry_ms": 1000})
    assert patched.json_body["data"] == {"attempt_failure_count": 3, "attempt_failure_expiry_ms": 1000}
    assert (await rest("GET", path, token=own_token)).json_body["data"] == patched.json_body["data"]
    for verb in ("POST", "PATCH", "DELETE"):
        assert (await rest(verb, path, {"attempt_failure_count": 9}, token=own_token)).code == 403
    assert (await rest("DELETE", path)).code == 200
    assert (await rest("GET", path)).json_body["data"] == {}


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ({"attempt_failure_count": 0}, "minimum"),
        ({"attempt_failure_count": "3"}, "type"),
        ({"attempt_failure_count": True}, "type"),
        ({"attempt_failure_expiry_ms": 10**12}, "maximum"),
        ({"attempts": 1}, "additionalProperties"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_limits_that_cannot_be(rest: Client, data: Any, rule: str) -> None:
    refused = await rest("POST", f"/v2/accounts/{CHILD}/configs/webhooks", data)
    assert refused.code == 400
    ((rules),) = refused.json_body["data"].values()
    assert list(rules) == [rule]
