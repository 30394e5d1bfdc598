"""A hook as the hot path needs it: parsed once from its document, then trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from attrs.validators import instance_of

from kazoo_bridge.interfaces import Occurrence, Secret, StoredHook
from kazoo_bridge.webhooks.egress import parse_destination
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument, read_numbers, uri_problem

#: Keys of ``custom_data`` that select events and are not sent.
SELECTOR_KEYS = ("type", "action")

#: The default comes first.
VERBS = ("post", "get", "put")

#: It goes into a header.
_HOOK_ID = re.compile(r"[0-9A-Za-z_.-]{1,64}")


@frozen
class Hook:
    """What an account wants sent where. `uri` may carry secrets and stays out of the repr.

    `selectors` are the values it admits; a selector without an entry may have any. `revision` is empty for hooks that are not stored.
    `rate_limit` is in requests per second, 0.0: none.
    """

    id: str
    account_id: str
    event: str
    uri: str = field(repr=False)
    verb: str
    format: str
    enabled: bool = field(validator=instance_of(bool))
    retries: int
    include_subaccounts: bool = field(validator=instance_of(bool))
    include_internal_legs: bool = field(validator=instance_of(bool))
    custom_data: Mapping[str, Any] = field(repr=False)
    modifiers: Mapping[str, Any]
    selectors: Mapping[str, frozenset[str]]
    revision: str = ""
    ordered: bool = field(default=False, validator=instance_of(bool))
    rate_limit: float = 0.0
    secrets: tuple[Secret, ...] = field(default=(), repr=False)

    @classmethod
    def from_document(cls, stored: StoredHook, catalogue: HookCatalogue) -> Hook:
        """Parse a document that `DocumentRules` have accepted, perhaps those of an earlier release.

        Raises KeyError, TypeError or AttributeError if it cannot be read; a bad number is replaced and raises nothing.
        """
        document = read_numbers(stored.document)
        custom_data = document.get("custom_data", {})
        event, selectors = catalogue.resolve_alias(document["hook"], custom_data)
        return cls(
            id=stored.id,
            account_id=stored.account_id,
            event=event,
            uri=document["uri"],
            verb=document["http_verb"],
            format=document["format"],
            enabled=document["enabled"],
            retries=document["retries"],
            include_subaccounts=document["include_subaccounts"],
            include_internal_legs=document["include_internal_legs"],
            custom_data=_without_selectors(custom_data),
            modifiers=document.get("modifiers", {}),
            selectors=selectors,
            revision=stored.revision,
            ordered=document.get("ordered", False),
            rate_limit=document.get("rate_limit", 0.0),
            secrets=stored.secrets,
        )

    @classmethod
    def from_event(cls, account_id: str, event: str, document: Mapping[str, Any]) -> Hook:
        """A hook that an event brings along, with KAZOO's defaults; it has no revision. Raises `InvalidDocument`."""
        uri = document.get("uri")
        if not isinstance(uri, str) or (problem := uri_problem(uri)):
            raise InvalidDocument(
                {
                    "uri": {
                        "wrong_format": {
                            "message": problem if isinstance(uri, str) else "this field is required"
                        }
                    }
                }
            )
        document = {"retries": 2} | read_numbers(document)
        hook_id = document.get("_id", document.get("id"))
        verb = str(document.get("http_verb", "")).lower()
        custom_data, modifiers = document.get("custom_data"), document.get("modifiers")
        return cls(
            id=hook_id if isinstance(hook_id, str) and _HOOK_ID.fullmatch(hook_id) else "callflow",
            account_id=account_id,
            event=event,
            uri=uri,
            verb=verb if verb in VERBS else VERBS[0],
            format="json" if document.get("format") == "json" else "form-data",
            enabled=True,
            retries=document["retries"],
            include_subaccounts=False,
            include_internal_legs=True,
            custom_data=_without_selectors(custom_data) if isinstance(custom_data, Mapping) else {},
            modifiers=modifiers if isinstance(modifiers, Mapping) else {},
            selectors={},
        )

    @property
    def queue_key(self) -> str:
        """Under which name its requests queue. What events bring has a new id every time, and queues by account and receiver."""
        return self.id if self.revision else f"{self.account_id} {parse_destination(self.uri).authority}"

    def matches(self, occurrence: Occurrence) -> bool:
        """Whether the hook, already known to listen to this kind of event, wants this one."""
        if occurrence.internal_leg and not self.include_internal_legs:
            return False
        return self._selectors_match(occurrence.selectors) and self._modifiers_match(occurrence.payload)

    def _selectors_match(self, selectors: Mapping[str, str]) -> bool:
        # Only the selectors that the event has can select: a channel has neither type nor action.
        return all(
            name not in self.selectors or value in self.selectors[name] for name, value in selectors.items()
        )

    def _modifiers_match(self, payload: Mapping[str, Any]) -> bool:
        for name, allowed in self.modifiers.items():
            if name not in payload:
                continue
            if isinstance(allowed, list):
                if allowed and not any(_equal(payload[name], one) for one in allowed):
                    return False
            elif not _equal(payload[name], allowed):
                return False
        return True


def _equal(value: Any, other: Any) -> bool:
    # To Python true is 1, to JSON it is not.
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _without_selectors(custom_data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in custom_data.items() if name not in SELECTOR_KEYS}
