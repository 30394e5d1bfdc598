"""Keeps the nodes in step over the bus: tells of changed hooks, hears of those changed elsewhere and of accounts that went."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from kazoo_bridge.interfaces import (
    BusUnavailable,
    IBus,
    IConsumer,
    IDirectory,
    Queue,
    StorageUnavailable,
    StoredHook,
    Topic,
)
from kazoo_bridge.kazoo import Event, is_account_id
from kazoo_bridge.webhooks.hooks.hook_service import HookService
from kazoo_bridge.webhooks.kazoo_messages import WEBHOOKS_DB, doc_type_updated, hook_changed

_log = Logger()

_EXCHANGE = "configuration"
_ACTIONS = ("doc_created", "doc_edited", "doc_deleted")

_CHANGES = frozenset(
    {
        *(Topic(_EXCHANGE, f"{action}.{WEBHOOKS_DB}.webhook.*") for action in _ACTIONS),
        Topic(_EXCHANGE, "doc_deleted.*.account.*"),
    }
)
_COMMANDS = frozenset({Topic(_EXCHANGE, "configuration.doc_type_update.webhook")})

#: The nodes share this queue: one of them carries a command out and answers it.
COMMAND_QUEUE = "kazoo_bridge.webhooks.commands"

#: Takes note that an account is gone.
OnAccountDeleted = Callable[[str], Awaitable[None]]


@define(eq=False)
class HookChangePublisher:
    """Publishes what changed here. The storage's record of changes tells the others too, if later."""

    _bus: IBus
    _node: str

    def publish(self, action: str, hook: StoredHook) -> None:
        """Tell the other nodes, and whoever else listens."""
        self._bus.publish(*hook_changed(action, hook, self._node)).addErrback(self._failed, hook)

    def _failed(self, failure: Any, hook: StoredHook) -> None:
        failure.trap(BusUnavailable)
        _log.info(
            "the other nodes are not told that hook {hook_id} changed: {reason}",
            hook_id=hook.id,
            reason=failure.value,
        )


@define(eq=False)
class HookChangeConsumer:
    """Hears configuration messages and acts on them."""

    _bus: IBus
    _hooks: HookService
    _directory: IDirectory
    _on_account_deleted: OnAccountDeleted
    _consumers: list[IConsumer] = field(init=False, factory=list)

    def start(self) -> None:
        """Begin to listen."""
        changes, commands = (
            Queue(topics=_CHANGES, acknowledge=False),
            Queue(COMMAND_QUEUE, _COMMANDS, prefetch=1),
        )
        self._consumers = [
            self._bus.consume(changes, self._on_change),
            self._bus.consume(commands, self._on_command),
        ]

    async def stop(self) -> None:
        """Listen no more."""
        for consumer in self._consumers:
            await consumer.cancel()

    def _on_change(self, event: Event) -> Deferred[None] | None:
        body = event.body
        kind, subject = body.get("Type"), body.get("ID")
        if not isinstance(subject, str):
            return None
        if kind == "account":
            account_id = body.get("Account-ID") or subject
            return self._safely(self._on_account_message(account_id)) if is_account_id(account_id) else None
        return self._safely(self._hooks.reload([subject])) if is_account_id(subject) else None

    async def _on_account_message(self, account_id: str) -> None:
        await self._hooks.account_deleted(account_id)
        await self._on_account_deleted(account_id)

    def _on_command(self, event: Event) -> Deferred[None]:
        return self._safely(self._run_command(event))

    async def _run_command(self, event: Event) -> None:
        account_id, action = event.body.get("Account-ID"), event.body.get("Action")
        if not is_account_id(account_id) or action not in ("account", "descendants"):
            _log.warn(
                "{routing_key}: expected Account-ID and the Action account or descendants, got {account_id} and {action}",
                routing_key=event.routing_key,
                account_id=repr(account_id)[:100],
                action=repr(action)[:100],
            )
            return
        # To KAZOO, descendants are those below an account and the account itself.
        below = await self._directory.descendants(str(account_id)) if action == "descendants" else ()
        accounts = {str(account_id), *below}
        count = await self._hooks.re_enable(accounts)
        _log.info(
            "{count} hooks are enabled again for {account_id} ({action})",
            count=count,
            account_id=account_id,
            action=action,
        )
        answer = doc_type_updated(event.body)
        if answer is not None:
            await self._bus.publish(*answer)

    def _safely(self, work: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(work).addErrback(self._refused).addCallback(lambda _: None)

    def _refused(self, failure: Any) -> None:
        failure.trap(StorageUnavailable, BusUnavailable)
        _log.warn("a message about hooks or accounts is not followed: {reason}", reason=failure.value)
