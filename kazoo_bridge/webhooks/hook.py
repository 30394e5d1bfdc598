"""A hook as the hot path needs it: parsed once from its document, then trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from kazoo_bridge.interfaces import Occurrence, StoredHook

#: Keys of ``custom_data`` that select events and are not sent.
SELECTOR_KEYS = ("type", "action")


@frozen
class Hook:
    """What an account wants sent where. `uri` may carry secrets and stays out of the repr."""

    id: str
    account_id: str
    event: str
    uri: str = field(repr=False)
    verb: str
    format: str
    enabled: bool
    retries: int
    include_subaccounts: bool
    include_internal_legs: bool
    custom_data: Mapping[str, Any] = field(repr=False)
    modifiers: Mapping[str, Any]
    selectors: Mapping[str, str]

    @classmethod
    def of(cls, stored: StoredHook) -> Hook:
        """Parse a document that `document.validate` has accepted."""
        document = stored.document
        custom_data = document.get("custom_data", {})
        return cls(
            id=stored.id,
            account_id=stored.account_id,
            event=document["hook"],
            uri=document["uri"],
            verb=document["http_verb"],
            format=document["format"],
            enabled=document["enabled"],
            retries=document["retries"],
            include_subaccounts=document["include_subaccounts"],
            include_internal_legs=document["include_internal_legs"],
            custom_data={name: value for name, value in custom_data.items() if name not in SELECTOR_KEYS},
            modifiers=document.get("modifiers", {}),
            selectors={name: custom_data[name] for name in SELECTOR_KEYS if name in custom_data},
        )

    def wants(self, occurrence: Occurrence) -> bool:
        """Whether the hook, already known to listen to this kind of event, wants this one."""
        if occurrence.internal_leg and not self.include_internal_legs:
            return False
        return self._selects(occurrence.selectors) and self._passes(occurrence.payload)

    def _selects(self, selectors: Mapping[str, str]) -> bool:
        # Only the selectors that the event has can select: a channel has neither type nor action.
        return all(self.selectors.get(name, "all") in ("all", value) for name, value in selectors.items())

    def _passes(self, payload: Mapping[str, Any]) -> bool:
        for name, allowed in self.modifiers.items():
            if name not in payload:
                continue
            if isinstance(allowed, list):
                if allowed and payload[name] not in allowed:
                    return False
            elif payload[name] != allowed:
                return False
        return True
