from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import (
    BusUnavailable,
    EventHandler,
    IConsumer,
    Queue,
    StorageUnavailable,
    StoredHook,
    Topic,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.webhooks.hook_sync import HookChangeConsumer, HookChangePublisher
from tests.webhooks.fakes import FakeDirectory

ACCOUNT, CHILD, HOOK = "a" * 32, "b" * 32, "c" * 32


class FakeHookService:
    """Records calls; fails with `error` if that is set."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.error: Exception | None = None

    async def _record(self, name: str, value: Any) -> int:
        if self.error is not None:
            raise self.error
        self.calls.append((name, value))
        return 2

    async def reload(self, hook_ids: Any) -> None:
        await self._record("reload", hook_ids)

    async def account_deleted(self, account_id: str) -> None:
        await self._record("account_deleted", account_id)

    async def re_enable(self, account_ids: Any) -> int:
        return await self._record("re_enable", set(account_ids))


class Harness:
    """A consumer of hook changes on an embedded bus. `replies` are the messages to ``reply-queue``."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.bus = EmbeddedBus(self.clock)
        self.hooks = FakeHookService()
        self.deleted_accounts: list[str] = []
        self.replies: list[Event] = []
        hooks: Any = self.hooks
        self.consumer = HookChangeConsumer(
            self.bus, hooks, FakeDirectory({CHILD: (ACCOUNT,)}), self._on_account_deleted
        )

    async def _on_account_deleted(self, account_id: str) -> None:
        self.deleted_accounts.append(account_id)

    async def publish(self, routing_key: str, **body: Any) -> None:
        await self.bus.publish(
            "configuration", routing_key, {name.replace("_", "-"): body[name] for name in body}
        )
        self.clock.advance(0)


@pytest_twisted.async_yield_fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    harness.bus.startService()
    harness.consumer.start()
    replies = Queue(topics=frozenset({Topic("targeted", "reply-queue")}), acknowledge=False)
    harness.bus.consume(replies, harness.replies.append)
    yield harness
    await harness.consumer.stop()
    harness.bus.stopService()


@pytest.mark.parametrize("action", ["doc_created", "doc_edited", "doc_deleted"])
@pytest_twisted.ensureDeferred
async def test_a_changed_hook_is_reloaded(harness: Harness, action: str) -> None:
    await harness.publish(f"{action}.webhooks.webhook.{HOOK}", ID=HOOK, Type="webhook")
    assert harness.hooks.calls == [("reload", [HOOK])]


def test_changes_of_every_zone_are_followed_and_commands_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    harness, queues = Harness(), list[Queue]()
    consume = harness.bus.consume

    def record(queue: Queue, handler: EventHandler) -> IConsumer:
        queues.append(queue)
        return consume(queue, handler)

    monkeypatch.setattr(harness.bus, "consume", record)
    harness.consumer.start()
    changes, commands = queues
    assert (changes.federated, commands.federated) == (True, False)
    assert {topic.pattern.rpartition(".")[0] for topic in commands.topics} == {
        "configuration.doc_type_update"
    }


@pytest.mark.parametrize("body", [{}, {"ID": 7}, {"ID": "not an id", "Type": "webhook"}])
@pytest_twisted.ensureDeferred
async def test_a_message_without_a_usable_id_is_ignored(harness: Harness, body: dict[str, Any]) -> None:
    await harness.publish(f"doc_edited.webhooks.webhook.{HOOK}", **body)
    assert harness.hooks.calls == []


@pytest.mark.parametrize("body", [{"ID": ACCOUNT}, {"ID": "x", "Account_ID": ACCOUNT}])
@pytest_twisted.ensureDeferred
async def test_a_deleted_account_loses_its_hooks(harness: Harness, body: dict[str, Any]) -> None:
    await harness.publish(f"doc_deleted.accounts.account.{ACCOUNT}", Type="account", **body)
    assert harness.hooks.calls == [("account_deleted", ACCOUNT)]
    assert harness.deleted_accounts == [ACCOUNT]


@pytest_twisted.ensureDeferred
async def test_an_account_message_without_an_account_is_ignored(harness: Harness) -> None:
    await harness.publish("doc_deleted.accounts.account.x", Type="account", ID="x")
    assert harness.hooks.calls == []
    assert harness.deleted_accounts == []


@pytest.mark.parametrize(("action", "accounts"), [("account", {ACCOUNT}), ("descendants", {ACCOUNT, CHILD})])
@pytest_twisted.ensureDeferred
async def test_a_command_enables_hooks_and_is_answered(
    harness: Harness, action: str, accounts: set[str]
) -> None:
    await harness.publish(
        "configuration.doc_type_update.webhook",
        Account_ID=ACCOUNT, Action=action, Server_ID="reply-queue", Msg_ID="m1",
    )  # fmt: skip
    harness.clock.advance(0)
    assert harness.hooks.calls == [("re_enable", accounts)]
    assert [(reply.body["Event-Name"], reply.body["Msg-ID"]) for reply in harness.replies] == [
        ("doc_type_updated", "m1")
    ]


@pytest_twisted.ensureDeferred
async def test_a_command_without_an_address_is_not_answered(harness: Harness) -> None:
    await harness.publish("configuration.doc_type_update.webhook", Account_ID=ACCOUNT, Action="account")
    assert len(harness.hooks.calls) == 1
    assert harness.replies == []


@pytest.mark.parametrize(
    "body",
    [
        {"Account_ID": ACCOUNT},
        {"Account_ID": ACCOUNT, "Action": "all"},
        {"Account_ID": ACCOUNT, "Action": ["account"]},
        {"Account_ID": [ACCOUNT], "Action": "account"},
        {"Action": "account"},
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_invalid_command_is_logged_and_not_answered(harness: Harness, body: dict[str, Any]) -> None:
    with capturedLogs() as logs:
        await harness.publish("configuration.doc_type_update.webhook", Server_ID="reply-queue", **body)
    assert harness.hooks.calls == []
    assert harness.replies == []
    [line] = [formatEvent(event) for event in logs if event["log_level"] >= LogLevel.warn]
    assert "reason=invalid" in line
    assert "routing_key=configuration.doc_type_update.webhook: Account-ID is" in line


@pytest_twisted.ensureDeferred
async def test_an_unavailable_storage_is_logged_and_later_messages_are_followed(harness: Harness) -> None:
    harness.hooks.error = StorageUnavailable("the disk is full")
    with capturedLogs() as logs:
        await harness.publish(f"doc_edited.webhooks.webhook.{HOOK}", ID=HOOK, Type="webhook")
    assert [str(event["reason"]) for event in logs if "reason" in event] == ["the disk is full"]
    harness.hooks.error = None
    await harness.publish(f"doc_edited.webhooks.webhook.{HOOK}", ID=HOOK, Type="webhook")
    assert harness.hooks.calls == [("reload", [HOOK])]


@pytest_twisted.ensureDeferred
async def test_nothing_is_followed_after_stopping(harness: Harness) -> None:
    await harness.consumer.stop()
    await harness.publish(f"doc_edited.webhooks.webhook.{HOOK}", ID=HOOK, Type="webhook")
    assert harness.hooks.calls == []


@pytest_twisted.ensureDeferred
async def test_a_published_change_reaches_other_nodes(harness: Harness) -> None:
    hook = StoredHook(HOOK, ACCOUNT, {}, "1-x", 0, 0)
    HookChangePublisher(harness.bus, "node-2").publish("doc_edited", hook)
    harness.clock.advance(0)
    assert harness.hooks.calls == [("reload", [HOOK])]


def test_a_change_that_cannot_be_published_is_logged() -> None:
    class UnavailableBus:
        def publish(self, *_: Any) -> Deferred[None]:
            return fail(BusUnavailable("no connection"))

    bus: Any = UnavailableBus()
    with capturedLogs() as logs:
        HookChangePublisher(bus, "node-2").publish("doc_edited", StoredHook(HOOK, ACCOUNT, {}, "1-x", 0, 0))
    assert [(event["hook_id"], str(event["reason"])) for event in logs] == [(HOOK, "no connection")]
