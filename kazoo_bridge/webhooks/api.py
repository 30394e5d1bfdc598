"""The operations on webhooks that REST offers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import frozen
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    AccountLimits,
    HookAuthor,
    HookType,
    ILimitStore,
    IWebhooks,
    StoredAttempt,
    StoredDelivery,
    StoredHook,
)
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.attempt_replay import AttemptReplayer
from kazoo_bridge.webhooks.attempts.health import HealthReport
from kazoo_bridge.webhooks.attempts.sample_sender import SampleSender
from kazoo_bridge.webhooks.delivery.dead_letters import DeadLetters
from kazoo_bridge.webhooks.hooks import hook_secrets
from kazoo_bridge.webhooks.hooks.hook_catalogue import EVERYTHING, HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import document_schema
from kazoo_bridge.webhooks.hooks.hook_service import HookService

#: Listed like a hook type, so that clients which show the catalogue, such as monster-ui, offer it.
EVERY_EVENT = HookType(
    EVERYTHING, "Everything", "Every event, including the ones that KAZOO lacks and the ones of plugins"
)


@implementer(IWebhooks)
@frozen
class WebhookApi:
    """Passes each operation of `IWebhooks` to the part of webhooks that performs it."""

    _catalogue: HookCatalogue
    _hooks: HookService
    _health: HealthReport
    _recorder: AttemptRecorder
    _replayer: AttemptReplayer
    _dead_letters: DeadLetters
    _sample_sender: SampleSender
    _limits: ILimitStore

    @property
    def hook_types(self) -> Sequence[HookType]:
        """See `IWebhooks`."""
        return [*self._catalogue.types.values(), EVERY_EVENT]

    @property
    def document_schema(self) -> Mapping[str, Any]:
        """See `IWebhooks`."""
        return document_schema(self._catalogue.ids)

    @property
    def secret_schemas(self) -> Mapping[str, Any]:
        """See `IWebhooks`."""
        return hook_secrets.SECRET_PROPERTIES

    async def hooks(self, account_id: str) -> list[StoredHook]:
        """See `IWebhooks`."""
        return await self._hooks.for_account(account_id)

    async def hook(self, account_id: str, hook_id: str) -> StoredHook | None:
        """See `IWebhooks`."""
        return await self._hooks.get(account_id, hook_id)

    async def create_hook(
        self, account_id: str, document: Mapping[str, Any], author: HookAuthor | None = None
    ) -> StoredHook:
        """See `IWebhooks`."""
        return await self._hooks.create(account_id, document, author)

    async def replace_hook(
        self, hook: StoredHook, document: Mapping[str, Any], author: HookAuthor | None = None
    ) -> StoredHook:
        """See `IWebhooks`."""
        return await self._hooks.replace(hook, document, author)

    async def patch_hook(
        self, hook: StoredHook, changes: Mapping[str, Any], author: HookAuthor | None = None
    ) -> StoredHook:
        """See `IWebhooks`."""
        return await self._hooks.patch(hook, changes, author)

    async def delete_hook(
        self, hook: StoredHook, author: HookAuthor | None = None, *, soft: bool = True
    ) -> None:
        """See `IWebhooks`."""
        await self._hooks.delete(hook, author, soft=soft)

    async def update_secret(
        self, hook: StoredHook, changes: Mapping[str, Any], author: HookAuthor | None = None
    ) -> StoredHook:
        """See `IWebhooks`."""
        return await self._hooks.rotate_secret(hook, changes, author)

    def signature(self, hook: StoredHook) -> Mapping[str, Any]:
        """See `IWebhooks`."""
        return hook_secrets.signature_form(hook.secrets)

    async def enable_hooks(self, account_ids: Collection[str]) -> int:
        """See `IWebhooks`."""
        return await self._hooks.re_enable(account_ids)

    async def health(self, hooks: Sequence[StoredHook]) -> Mapping[str, Mapping[str, Any]]:
        """See `IWebhooks`."""
        return await self._health.for_hooks(hooks)

    async def send_sample(self, hook: StoredHook) -> Mapping[str, Any]:
        """See `IWebhooks`."""
        return await self._sample_sender.send(hook)

    async def attempts(
        self, account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Sequence[StoredAttempt]:
        """See `IWebhooks`."""
        return await self._recorder.page(account_id, hook_id, before, count)

    async def replay_attempt(self, account_id: str, hook_id: str | None, attempt_id: int) -> StoredDelivery:
        """See `IWebhooks`."""
        return await self._replayer.replay(account_id, hook_id, attempt_id)

    async def deliveries(
        self, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Sequence[StoredDelivery]:
        """See `IWebhooks`."""
        return await self._dead_letters.page(account_id, hook_id, status, before, count)

    async def retry_delivery(self, account_id: str, hook_id: str, delivery_id: str) -> bool:
        """See `IWebhooks`."""
        return await self._dead_letters.retry(account_id, hook_id, delivery_id)

    async def replay_deliveries(self, account_id: str, hook_id: str | None, since: float) -> int:
        """See `IWebhooks`."""
        if hook_id is not None:
            return await self._dead_letters.replay(account_id, hook_id, since)
        hooks = await self._hooks.for_account(account_id)
        disabled = [hook.id for hook in hooks if hook.document.get("enabled") is False]
        return await self._dead_letters.replay(account_id, None, since, disabled)

    async def limits(self, account_id: str) -> AccountLimits:
        """See `IWebhooks`."""
        return await self._limits.get(account_id)

    async def set_limits(self, account_id: str, limits: AccountLimits) -> None:
        """See `IWebhooks`."""
        await self._limits.put(account_id, limits)
