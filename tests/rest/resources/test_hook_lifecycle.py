"""Hooks over time: disabled, enabled again, announced on the bus, deleted with their account."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from kazoo_bridge.interfaces import AccountLimits, Topic
from tests.rest.harness import ACCOUNT, CHILD, HOOK_DOCUMENT, BusListener, RestHarness, hooks_path, until


@pytest_twisted.ensureDeferred
async def test_a_hook_that_fails_too_often_is_disabled_and_a_notification_published(
    rest: RestHarness,
) -> None:
    listener = BusListener(rest.node.bus, Topic("notifications", "notifications.webhook.disabled"))
    hook_id, healthy = (
        await rest.create_failing_hook(),
        await rest.create_failing_hook(hook="channel_destroy"),
    )
    await rest.publish_calls(count=6)

    async def disabled() -> bool:
        await rest.node.webhooks.auto_disabler.check()
        return not (await rest.get_hook(hook_id))["enabled"]

    await until(disabled)
    assert (await rest.get_hook(hook_id))["disable_reason"] == "too many failed attempts"
    assert (await rest.get_hook(healthy))["enabled"]
    body = (await listener.first()).body
    assert (body["Account-ID"], body["Hook-ID"], body["Event-Name"]) == (ACCOUNT, hook_id, "webhook_disabled")
    listed = (await rest("GET", hooks_path())).json_body["data"]
    assert [one.get("disable_reason") for one in listed] == ["too many failed attempts", None]


@pytest_twisted.ensureDeferred
async def test_a_hook_whose_receiver_has_gone_is_disabled_at_once_and_loses_nothing(
    rest: RestHarness, receiver: Any
) -> None:
    listener = BusListener(rest.node.bus, Topic("notifications", "notifications.webhook.disabled"))
    hook_id = (await rest("PUT", hooks_path(), {**HOOK_DOCUMENT, "uri": receiver.url})).json_body["data"][
        "id"
    ]
    receiver.statuses = [410]
    await rest.publish_calls()
    body = (await listener.first()).body
    assert (body["Account-ID"], body["Hook-ID"]) == (ACCOUNT, hook_id)
    assert (await rest.get_hook(hook_id))["disable_reason"] == "the receiver answered 410 Gone"

    async def waits() -> Any:
        return (await rest("GET", f"{hooks_path(hook_id=hook_id)}/deliveries")).json_body["data"]

    (waiting,) = await until(waits)
    assert waiting["attempts"] == 1
    receiver.statuses = [200]
    await rest("PATCH", hooks_path(), {"re-enable": True})

    async def arrived() -> bool:
        return len(receiver.received) == 2

    await until(arrived)
    assert (
        receiver.received[0].headers["webhook-id"]
        == receiver.received[1].headers["webhook-id"]
        == waiting["id"]
    )


@pytest_twisted.ensureDeferred
async def test_five_failures_do_not_disable_and_an_edit_forgets_them(rest: RestHarness) -> None:
    hook_id = await rest.create_failing_hook()
    limits = rest.node.webhooks.stores.limits
    await limits.put(ACCOUNT, AccountLimits(attempt_failure_count=10_000))
    await rest.publish_calls()

    async def failures() -> int:
        count: int = (await rest.get_hook(hook_id))["health"]["failures_in_window"]
        return count

    # The broker hands the event out again and again, so failures come by themselves.
    await until(failures)
    await rest.node.webhooks.auto_disabler.check()
    assert (await rest.get_hook(hook_id))["enabled"]
    await limits.put(ACCOUNT, AccountLimits(attempt_failure_count=1))
    await rest.node.webhooks.auto_disabler.check()
    assert not (await rest.get_hook(hook_id))["enabled"]
    await rest("PATCH", hooks_path(hook_id=hook_id), {"enabled": True, "uri": "http://127.0.0.1:9/other"})
    assert (await rest.get_hook(hook_id))["enabled"]


@pytest.mark.parametrize(
    ("action", "enabled"),
    [("account", [True, False]), ("descendants", [True, True]), ("other", [False, False])],
)
@pytest_twisted.ensureDeferred
async def test_re_enabling_over_the_bus(rest: RestHarness, action: str, enabled: list[bool]) -> None:
    own, of_child = await rest.create_failing_hook(), await rest.create_failing_hook(CHILD)
    await rest.disable_hook(own)
    await rest.disable_hook(of_child, CHILD)
    request = {
        "Event-Category": "configuration",
        "Event-Name": "doc_type_update",
        "Type": "webhook",
        "Action": action,
        "Account-ID": ACCOUNT,
    }
    answers = await rest.node.bus.request(
        "configuration", "configuration.doc_type_update.webhook", request, timeout=0.5, done_when=bool
    )
    assert [
        (await rest.get_hook(own))["enabled"],
        (await rest.get_hook(of_child, CHILD))["enabled"],
    ] == enabled
    assert [(one.body["Event-Category"], one.body["Event-Name"]) for one in answers] == [
        ("configuration", "doc_type_updated")
    ] * any(enabled)


@pytest_twisted.ensureDeferred
async def test_every_change_of_a_hook_is_announced(rest: RestHarness) -> None:
    listener = BusListener(rest.node.bus, Topic("configuration", "*.webhooks.webhook.*"))
    hook_id = await rest.create_failing_hook(uri="http://127.0.0.1:9/?secret=1")
    await rest("PATCH", hooks_path(hook_id=hook_id), {"name": "other"})
    await rest("DELETE", hooks_path(hook_id=hook_id))

    async def three() -> bool:
        return len(listener.events) == 3

    await until(three)
    assert [one.routing_key for one in listener.events] == [
        f"{action}.webhooks.webhook.{hook_id}" for action in ("doc_created", "doc_edited", "doc_deleted")
    ]
    assert all(one.body["Account-ID"] == ACCOUNT and b"secret" not in one.raw for one in listener.events)


@pytest_twisted.ensureDeferred
async def test_a_hook_changed_by_another_node_is_read_again_when_the_bus_says_so(rest: RestHarness) -> None:
    hook_id = await rest.create_failing_hook()
    rest.node.webhooks.registry.remove(hook_id)
    body = {
        "Event-Category": "configuration",
        "Event-Name": "doc_edited",
        "ID": hook_id,
        "Type": "webhook",
        "Database": "webhooks",
    }
    await rest.node.bus.publish("configuration", f"doc_edited.webhooks.webhook.{hook_id}", body)

    async def known() -> bool:
        return rest.node.webhooks.registry.get(hook_id) is not None

    await until(known)


@pytest_twisted.ensureDeferred
async def test_the_hooks_of_an_account_go_with_it(rest: RestHarness) -> None:
    await rest.create_failing_hook(CHILD)
    token = (await rest.node.tokens.create(CHILD)).token
    body = {
        "Event-Category": "configuration",
        "Event-Name": "doc_deleted",
        "ID": CHILD,
        "Type": "account",
        "Account-ID": CHILD,
    }
    await rest.node.bus.publish("configuration", f"doc_deleted.accounts.account.{CHILD}", body)

    async def gone() -> bool:
        response = await rest("GET", hooks_path(CHILD))
        return bool(response.code == 403)

    await until(gone)
    assert (await rest("GET", hooks_path(CHILD), token=token)).code == 401
    assert not await rest.node.webhooks.hooks.for_account(CHILD)
    assert len(rest.node.webhooks.registry) == 0
