"""What is kept of an occurrence in `EventTraces`, and why a hook did not fire for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import ANY_EVENT, EVERYTHING, KAZOO_EVENTS


class OccurrenceTrace(NamedTuple):
    """An occurrence without its payload, and the hooks that it fired.

    `hook` to `superadmin_only` are those of `Occurrence`, `inline` says whether the event contained a hook,
    and `fired` are the ids of hooks.
    """

    hook: str
    account_id: str | None
    selectors: Mapping[str, str]
    internal_leg: bool
    addition: bool
    superadmin_only: bool
    inline: bool
    fired: tuple[str, ...]


def trace_occurrence(
    occurrence: Occurrence, matches: Iterable[tuple[Hook, Occurrence]]
) -> tuple[str, str | None, Mapping[str, str], bool, bool, bool, bool, tuple[str, ...]]:
    """Return the values of an `OccurrenceTrace` as a plain tuple, which is made faster, for every event."""
    return (
        occurrence.hook,
        occurrence.account_id,
        occurrence.selectors,
        occurrence.internal_leg,
        occurrence.addition,
        occurrence.superadmin_only,
        occurrence.inline_hook is not None,
        tuple([hook.id for hook, _ in matches]) if matches else (),
    )


def silence_reason(hook: Hook, trace: OccurrenceTrace, superadmins: Collection[str]) -> str:
    """Return why a hook, as it is now, did not fire for an occurrence, as text for people.

    The hook is of the occurrence's account or of an ancestor. `superadmins` are the accounts that may receive
    what is for super-admins only. The payload is not kept: what nothing else explains, the hook's modifiers
    have rejected.
    """
    accepted = {trace.hook, EVERYTHING} | ({ANY_EVENT} if trace.hook in KAZOO_EVENTS else set())
    if hook.event not in accepted:
        return f"it is for {hook.event}, the event is {trace.hook}"
    if not hook.listens:
        return "it is disabled"
    if hook.account_id != trace.account_id and not hook.include_subaccounts:
        return f"the event is of account {trace.account_id}, and include_subaccounts is false"
    if trace.internal_leg and not hook.include_internal_legs:
        return "the event is of a leg inside the switch, and include_internal_legs is false"
    if trace.addition and hook.event == ANY_EVENT:
        return "the event is an addition to KAZOO's, which hooks for all do not receive"
    if trace.superadmin_only and hook.account_id not in superadmins:
        return "the event is for hooks of super-admins only"
    for name, value in trace.selectors.items():
        if name in hook.selectors and value not in hook.selectors[name]:
            expected = " or ".join(sorted(hook.selectors[name]))
            return f"its custom_data selects {name} {expected}, the event has {value}"
    if hook.modifiers:
        return f"its modifiers reject the event's values of {', '.join(sorted(map(str, hook.modifiers)))}"
    return "it matches now: it has changed since the event, or was not in the node's memory"
