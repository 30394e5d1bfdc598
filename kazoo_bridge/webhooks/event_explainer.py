"""Explains what an event did: the hooks that it fired, and why other hooks of its account did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from kazoo_bridge.event_traces import EventTrace, EventTraces
from kazoo_bridge.interfaces import IDirectory, IHookStore, StorageUnavailable, StoredHook
from kazoo_bridge.kazoo import from_gregorian
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.delivery.dispatcher import delivery_id
from kazoo_bridge.webhooks.event_handler import numbered_id
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.occurrence_trace import OccurrenceTrace, silence_reason

#: Events in one answer, and hooks that are explained for each.
MAX_EVENTS, MAX_HOOKS = 50, 50


@define
class _HookReader:
    """The hooks of accounts and those above them, read once for all events of an answer."""

    _explainer: EventExplainer
    _read: dict[str, list[tuple[StoredHook, Hook | str]] | StorageUnavailable] = field(factory=dict)

    async def of_account(self, account_id: str) -> list[tuple[StoredHook, Hook | str]]:
        """Return each stored hook, as nodes use it or with the reason why it cannot be used.

        Raises `StorageUnavailable`, again without asking if it has been raised for the account.
        """
        if account_id not in self._read:
            try:
                self._read[account_id] = await self._explainer.read_hooks(account_id)
            except StorageUnavailable as error:
                self._read[account_id] = error
        read = self._read[account_id]
        if isinstance(read, StorageUnavailable):
            raise read
        return read


@frozen
class EventExplainer:
    """Reads the traces of one node."""

    _clock: IReactorTime
    _catalogue: HookCatalogue
    _hooks: IHookStore
    _directory: IDirectory
    _recorder: AttemptRecorder
    _traces: EventTraces

    async def explain(self, ids: Collection[str], accounts: Collection[str] | None) -> list[dict[str, Any]]:
        """Return the newest events with one of these ids, the oldest first, as JSON objects.

        `ids`: those of messages, calls, or events. `accounts`: only what is about these accounts, and only
        hooks of these; None: everything. While the storage is unavailable, the hooks that did not fire are
        missing, with the reason.
        """
        found = []
        reader = _HookReader(self)
        for trace in self._traces.find(ids, MAX_EVENTS):
            occurrences = [OccurrenceTrace._make(one) for one in trace.result]
            if accounts is not None:
                occurrences = [one for one in occurrences if one.account_id in accounts]
                if not occurrences:
                    continue
            found.append(await self._event(trace, occurrences, accounts, reader))
            # An account may have thousands of hooks: others are served in between.
            await deferLater(self._clock, 0)
        return found

    async def read_hooks(self, account_id: str) -> list[tuple[StoredHook, Hook | str]]:
        """See `_HookReader.of_account`."""
        ancestors = self._directory.ancestors(account_id) or ()
        stored = await self._hooks.for_accounts([account_id, *ancestors])
        return [(hook, self._parse(hook)) for hook in stored]

    def _parse(self, stored: StoredHook) -> Hook | str:
        try:
            return Hook.from_document(stored, self._catalogue)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return f"its document cannot be used: {error}"

    async def _event(
        self,
        trace: EventTrace,
        occurrences: Sequence[OccurrenceTrace],
        accounts: Collection[str] | None,
        reader: _HookReader,
    ) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        return {
            "received": trace.received,
            "exchange": trace.exchange,
            "routing_key": trace.routing_key,
            "msg_id": trace.message_id,
            "call_id": trace.call_id,
            "event_id": trace.event_id,
            "occurrences": [
                await self._occurrence(trace, occurrence, accounts, counts, reader)
                for occurrence in occurrences
            ],
        }

    async def _occurrence(
        self,
        event: EventTrace,
        occurrence: OccurrenceTrace,
        accounts: Collection[str] | None,
        counts: Counter[str],
        reader: _HookReader,
    ) -> dict[str, Any]:
        """Describe an occurrence. `counts`: how many deliveries the event has made so far, by hook."""
        deliveries = {}
        for hook_id in occurrence.fired:
            deliveries[hook_id] = delivery_id(numbered_id(event.event_id, counts[hook_id]), hook_id)
            counts[hook_id] += 1
        delivered = self._recorder.delivered(deliveries.values())
        described: dict[str, Any] = {
            "hook": occurrence.hook,
            "account_id": occurrence.account_id,
            "selectors": dict(occurrence.selectors),
            "fired": [
                {"hook_id": hook_id, "delivery_id": one, "delivered": delivered.get(one)}
                for hook_id, one in deliveries.items()
            ],
            "not_fired": [],
        }
        if occurrence.account_id is None:
            return described | {"note": "the event names no account, and no account owns its number"}
        if occurrence.inline:
            return described | {"note": "the event contains its hook: no other hook fires"}
        try:
            hooks = await reader.of_account(occurrence.account_id)
            described["not_fired"] = self._not_fired(event, occurrence, hooks)
            if accounts is not None:
                seen = {hook.id for hook, _ in hooks if hook.account_id in accounts}
                for name in ("fired", "not_fired"):
                    described[name] = [one for one in described[name] if one["hook_id"] in seen]
        except StorageUnavailable as error:
            # Of an account's own hooks and those above it, only the storage knows which is which.
            hidden: dict[str, Any] = {} if accounts is None else {"fired": []}
            return described | hidden | {"note": f"other hooks cannot be read: {error}"}
        return described

    def _not_fired(
        self,
        event: EventTrace,
        occurrence: OccurrenceTrace,
        hooks: Sequence[tuple[StoredHook, Hook | str]],
    ) -> list[dict[str, Any]]:
        account_id = occurrence.account_id
        superadmins = {
            one for one in {hook.account_id for hook, _ in hooks} if self._directory.is_superadmin(one)
        }
        explained = []
        for hook, parsed in hooks:
            if hook.id not in occurrence.fired:
                same_type, reason = _reason(hook, parsed, event, occurrence, superadmins)
                explained.append((not same_type, hook.account_id != account_id, hook, reason))
        explained.sort(key=lambda one: one[:2])
        return [
            {"hook_id": hook.id, "account_id": hook.account_id, "reason": reason}
            for _, _, hook, reason in explained[:MAX_HOOKS]
        ]


def _reason(
    stored: StoredHook,
    hook: Hook | str,
    event: EventTrace,
    occurrence: OccurrenceTrace,
    superadmins: Collection[str],
) -> tuple[bool, str]:
    """Return whether the hook is for such events, and why it did not fire."""
    if isinstance(hook, str):
        return True, hook
    same_type = hook.event == occurrence.hook
    if same_type and from_gregorian(stored.created) > event.received:
        return True, "it was created after the event"
    reason = silence_reason(hook, occurrence, superadmins)
    if from_gregorian(stored.modified) > event.received:
        reason += " (it was changed after the event)"
    return same_type, reason
