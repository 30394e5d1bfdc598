"""Synchronises the nodes over the bus: publishes changed hooks, and follows changes and commands of others.

The messages are those of KAZOO's ``configuration`` exchange, see ``kapi_conf`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import (
    BusUnavailable,
    IBus,
    IConsumer,
    IDirectory,
    InvalidMessage,
    Queue,
    StorageUnavailable,
    StoredHook,
    Topic,
)
from kazoo_bridge.kazoo import Event, is_account_id
from kazoo_bridge.text_sanitizing import text_for_display
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

#: All nodes share this queue, so that one of them executes a command and replies.
COMMAND_QUEUE = "kazoo_bridge.webhooks.commands"

#: Called with the id of an account that KAZOO has deleted.
OnAccountDeleted = Callable[[str], Awaitable[None]]


@define(eq=False)
class HookChangePublisher:
    """Publishes changes of hooks on this node.

    `node` is this node's name in the message. The change log of the storage notifies the other nodes too, but
    later; a message that is lost therefore only delays the change.
    """

    _bus: IBus
    _node: str

    def publish(self, action: str, hook: StoredHook) -> None:
        """Publish that `hook` was changed.

        `action` is ``doc_created``, ``doc_edited`` or ``doc_deleted``. A failure is only logged.
        """
        self._bus.publish(*hook_changed(action, hook, self._node)).addErrback(self._publish_failed, hook)

    def _publish_failed(self, failure: Failure, hook: StoredHook) -> None:
        failure.trap(BusUnavailable)
        _log.info(
            "publishing hook change failed hook_id={hook_id} reason={reason}",
            hook_id=hook.id,
            reason=failure.value,
        )


@define(eq=False)
class HookChangeConsumer:
    """Follows changes of hooks, deletions of accounts, and the command to enable disabled hooks.

    `on_account_deleted` is called after the account's hooks have been deleted.
    """

    _bus: IBus
    _hooks: HookService
    _directory: IDirectory
    _on_account_deleted: OnAccountDeleted
    _consumers: list[IConsumer] = field(init=False, factory=list)

    def start(self) -> None:
        """Start to consume: changes of every zone, commands of this one, like KAZOO's ``webhooks_listener``
        and ``webhooks_shared_listener``.
        """
        changes, commands = (
            Queue(topics=_CHANGES, acknowledge=False, federated=True),
            Queue(COMMAND_QUEUE, _COMMANDS, prefetch=1),
        )
        self._consumers = [
            self._bus.consume(changes, self._on_change),
            self._bus.consume(commands, self._on_command),
        ]

    async def stop(self) -> None:
        """Stop consuming; returns when the broker has confirmed it."""
        for consumer in self._consumers:
            await consumer.cancel()

    def _on_change(self, event: Event) -> Deferred[None] | None:
        body = event.body
        kind, subject = body.get("Type"), body.get("ID")
        if not isinstance(subject, str):
            raise InvalidMessage(f"ID is {_shown(subject)}, expected text")
        if kind == "account":
            account_id = body.get("Account-ID") or subject
            return self._guard(self._delete_account(account_id)) if is_account_id(account_id) else None
        return self._guard(self._hooks.reload([subject])) if is_account_id(subject) else None

    async def _delete_account(self, account_id: str) -> None:
        await self._hooks.account_deleted(account_id)
        await self._on_account_deleted(account_id)

    def _on_command(self, event: Event) -> Deferred[None]:
        return self._guard(self._run_command(event))

    async def _run_command(self, event: Event) -> None:
        account_id, action = event.body.get("Account-ID"), event.body.get("Action")
        if not is_account_id(account_id) or action not in ("account", "descendants"):
            raise InvalidMessage(
                f"Account-ID is {_shown(account_id)} and Action is {_shown(action)}, "
                "expected the id of an account and account or descendants"
            )
        # In KAZOO, "descendants" includes the account itself.
        below = await self._directory.descendants(str(account_id)) if action == "descendants" else ()
        accounts = {str(account_id), *below}
        count = await self._hooks.re_enable(accounts)
        _log.info(
            "hooks enabled by command account_id={account_id} action={action} count={count}",
            count=count,
            account_id=account_id,
            action=action,
        )
        reply = doc_type_updated(event)
        if reply is not None:
            await self._bus.publish(*reply)

    def _guard(self, work: Coroutine[Any, Any, object]) -> Deferred[None]:
        return Deferred.fromCoroutine(work).addCallbacks(lambda _: None, self._log_unavailable)

    def _log_unavailable(self, failure: Failure) -> None:
        failure.trap(StorageUnavailable, BusUnavailable)
        _log.warn("configuration message not followed reason={reason}", reason=failure.value)


def _shown(value: object) -> str:
    """Return a value of a message in short, for an error."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(text_for_display(value) if isinstance(value, str) else value)
