"""Explains what an event did: the hooks that it fired, and why other hooks of its account did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from attrs import frozen

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


@frozen
class EventExplainer:
    """Reads the traces of one node."""

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
        for trace in self._traces.find(ids, MAX_EVENTS):
            occurrences = [OccurrenceTrace._make(one) for one in trace.result]
            if accounts is not None:
                occurrences = [one for one in occurrences if one.account_id in accounts]
                if not occurrences:
                    continue
            found.append(await self._event(trace, occurrences, accounts))
        return found

    async def _event(
        self, trace: EventTrace, occurrences: Sequence[OccurrenceTrace], accounts: Collection[str] | None
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
                await self._occurrence(trace, occurrence, accounts, counts) for occurrence in occurrences
            ],
        }

    async def _occurrence(
        self,
        event: EventTrace,
        occurrence: OccurrenceTrace,
        accounts: Collection[str] | None,
        counts: Counter[str],
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
            described["not_fired"] = await self._not_fired(event, occurrence)
            if accounts is not None:
                for name in ("fired", "not_fired"):
                    described[name] = await self._of_accounts(described[name], accounts)
        except StorageUnavailable as error:
            # Of an account's own hooks and those above it, only the storage knows which is which.
            hidden: dict[str, Any] = {} if accounts is None else {"fired": []}
            return described | hidden | {"note": f"other hooks cannot be read: {error}"}
        return described

    async def _of_accounts(
        self, described: list[dict[str, Any]], accounts: Collection[str]
    ) -> list[dict[str, Any]]:
        stored = await self._hooks.by_ids([one["hook_id"] for one in described])
        seen = {hook.id for hook in stored if hook.account_id in accounts}
        return [one for one in described if one["hook_id"] in seen]

    async def _not_fired(self, event: EventTrace, occurrence: OccurrenceTrace) -> list[dict[str, Any]]:
        account_id = str(occurrence.account_id)
        ancestors = self._directory.ancestors(account_id) or ()
        stored = await self._hooks.for_accounts([account_id, *ancestors])
        superadmins = {one for one in (account_id, *ancestors) if self._directory.is_superadmin(one)}
        explained = []
        for hook in stored:
            if hook.id not in occurrence.fired:
                same_type, reason = self._reason(hook, event, occurrence, superadmins)
                explained.append((not same_type, hook.account_id != account_id, hook, reason))
        explained.sort(key=lambda one: one[:2])
        return [
            {"hook_id": hook.id, "account_id": hook.account_id, "reason": reason}
            for _, _, hook, reason in explained[:MAX_HOOKS]
        ]

    def _reason(
        self, stored: StoredHook, event: EventTrace, occurrence: OccurrenceTrace, superadmins: Collection[str]
    ) -> tuple[bool, str]:
        """Return whether the hook is for such events, and why it did not fire."""
        try:
            hook = Hook.from_document(stored, self._catalogue)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return True, f"its document cannot be used: {error}"
        same_type = hook.event == occurrence.hook
        if same_type and from_gregorian(stored.created) > event.received:
            return True, "it was created after the event"
        reason = silence_reason(hook, occurrence, superadmins)
        if from_gregorian(stored.modified) > event.received:
            reason += " (it was changed after the event)"
        return same_type, reason
