"""Explains what an event did: the hooks that it fired, and why other hooks of its account did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen
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

#: A stored hook, as nodes use it, or with the reason why it cannot be used.
_ReadHook = tuple[StoredHook, Hook | str]


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
        hooks = _HookReads(self._hooks, self._catalogue)
        # All, because those of other accounts must not take the places of these.
        found = [trace for trace in self._traces.find(ids) if _is_of(trace, accounts)]
        explained = []
        for trace in found[-MAX_EVENTS:]:
            explained.append(await self._event(trace, accounts, hooks))
            # An account may have thousands of hooks: others are served in between.
            await deferLater(self._clock, 0)
        return explained

    async def _event(
        self, trace: EventTrace, accounts: Collection[str] | None, hooks: _HookReads
    ) -> dict[str, Any]:
        #: How many deliveries the event has made so far, by hook; their ids depend on it.
        counts: Counter[str] = Counter()
        described = []
        for occurrence in map(OccurrenceTrace._make, trace.result):
            deliveries = {}
            for hook_id in occurrence.fired:
                deliveries[hook_id] = delivery_id(numbered_id(trace.event_id, counts[hook_id]), hook_id)
                counts[hook_id] += 1
            if accounts is None or occurrence.account_id in accounts:
                described.append(await self._occurrence(trace, occurrence, deliveries, accounts, hooks))
        return {
            "received": trace.received,
            "exchange": trace.exchange,
            "routing_key": trace.routing_key,
            "msg_id": trace.message_id,
            "call_id": trace.call_id,
            "event_id": trace.event_id,
            "occurrences": described,
        }

    async def _occurrence(
        self,
        event: EventTrace,
        occurrence: OccurrenceTrace,
        deliveries: Mapping[str, str],
        accounts: Collection[str] | None,
        hooks: _HookReads,
    ) -> dict[str, Any]:
        """Describe an occurrence. `deliveries`: the id of the delivery by the hook that has fired."""
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
            ancestors = self._directory.ancestors(occurrence.account_id) or ()
            read = await hooks.of_accounts((occurrence.account_id, *ancestors))
            if accounts is not None:
                seen = await hooks.seen(deliveries, read, accounts)
                described["fired"] = [one for one in described["fired"] if one["hook_id"] in seen]
        except StorageUnavailable as error:
            # Of an account's own hooks and those above it, only the storage knows which is which.
            hidden: dict[str, Any] = {} if accounts is None else {"fired": []}
            return described | hidden | {"note": f"other hooks cannot be read: {error}"}
        silent = self._not_fired(event, occurrence, ancestors, read, accounts)
        described["not_fired"] = silent[:MAX_HOOKS]
        if len(silent) > MAX_HOOKS:
            described["note"] = f"{len(silent) - MAX_HOOKS} more hooks did not fire"
        return described

    def _not_fired(
        self,
        event: EventTrace,
        occurrence: OccurrenceTrace,
        ancestors: Sequence[str],
        read: Iterable[_ReadHook],
        accounts: Collection[str] | None,
    ) -> list[dict[str, Any]]:
        account_id = str(occurrence.account_id)
        superadmins = {one for one in (account_id, *ancestors) if self._directory.is_superadmin(one)}
        explained = []
        for hook, parsed in read:
            if hook.id not in occurrence.fired and (accounts is None or hook.account_id in accounts):
                same_type, reason = _reason(hook, parsed, event, occurrence, superadmins)
                explained.append((not same_type, hook.account_id != account_id, hook, reason))
        explained.sort(key=lambda one: one[:2])
        return [
            {"hook_id": hook.id, "account_id": hook.account_id, "reason": reason}
            for _, _, hook, reason in explained
        ]


@frozen
class _HookReads:
    """Reads the hooks of the same accounts once for all events of an answer."""

    _store: IHookStore
    _catalogue: HookCatalogue
    _known: dict[tuple[str, ...], Sequence[_ReadHook] | StorageUnavailable] = field(factory=dict)

    async def of_accounts(self, accounts: tuple[str, ...]) -> Sequence[_ReadHook]:
        """Return the hooks of these accounts.

        Raises `StorageUnavailable`, again without another question if it has been raised for them.
        """
        if accounts not in self._known:
            try:
                stored = await self._store.for_accounts(accounts)
                self._known[accounts] = [(hook, self._parse(hook)) for hook in stored]
            except StorageUnavailable as error:
                self._known[accounts] = error
        known = self._known[accounts]
        if isinstance(known, StorageUnavailable):
            raise known
        return known

    async def seen(
        self, hook_ids: Iterable[str], read: Iterable[_ReadHook], accounts: Collection[str]
    ) -> Collection[str]:
        """Return those of the ids that are of hooks of `accounts`. Raises `StorageUnavailable`.

        `read`: hooks that were read already; others may be of an account that has moved since.
        """
        owners = {hook.id: hook.account_id for hook, _ in read}
        if others := [hook_id for hook_id in hook_ids if hook_id not in owners]:
            owners |= {hook.id: hook.account_id for hook in await self._store.by_ids(others)}
        return {hook_id for hook_id in hook_ids if owners.get(hook_id) in accounts}

    def _parse(self, stored: StoredHook) -> Hook | str:
        try:
            return Hook.from_document(stored, self._catalogue)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return f"its document cannot be used: {error}"


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


def _is_of(trace: EventTrace, accounts: Collection[str] | None) -> bool:
    return accounts is None or any(OccurrenceTrace._make(one).account_id in accounts for one in trace.result)
