"""The status of faxes, page by page.

KAZOO publishes ``fax.status.{ACCOUNT_ID}.{FAX_ID}`` on ``faxes``. KAZOO itself has no such hook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import (
    account_segment,
    id_segment,
    invalid_format,
    monthly_segments,
    unsupported_event,
)
from kazoo_bridge.interfaces import (
    Account,
    BindingPlan,
    HookType,
    IBindingCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.kazoo import Event, is_account_id, public_form

_EXCHANGE = "faxes"
_STATUS = Topic(_EXCHANGE, "fax.status.*.*")
_OBJECTS_EXCHANGE = "configuration"
_ACTIONS = ("doc_created", "doc_edited", "doc_deleted")
STATES = ("start", "prepare", "send", "receive", "end", "error")

#: Keys of the message that payloads leave out.
_INTERNAL_KEYS = frozenset({"app_name", "app_version", "event_category", "msg_id"})

_SAMPLE: Mapping[str, Any] = {
    "account_id": "3f0a9c51d7e84b62a1c05d9e7b2f4860",
    "event_name": "status",
    "job_id": "202611-8e5f0c7b2a914d36bd8f4160e9a3c572",
    "faxbox_id": "c93a5e17f0264b8d8d1b6a7e40f29c85",
    "status": "page 2 of 5 is under way",
    "stage": "pageresult",
    "page": 2,
    "fax_info": {
        "fax_transferred_pages": 2,
        "fax_total_pages": 5,
        "fax_transfer_rate": 14400,
        "fax_ecm_used": "on",
    },
    "caller_id_name": "Accounts Department",
    "caller_id_number": "+4722555019",
    "callee_id_name": "Notary",
    "callee_id_number": "+15555550142",
}


def _sample(state: str) -> dict[str, Any]:
    return {**_SAMPLE, "fax_state": state, "direction": "incoming" if state == "receive" else "outgoing"}


def _account_id_from(event: Event) -> str | None:
    """Return the account in the message, otherwise the one in the routing key."""
    segments = event.routing_key.split(".")
    candidates = (event.body.get("Account-ID"), segments[2] if len(segments) > 2 else None)
    return next((candidate for candidate in candidates if is_account_id(candidate)), None)


@implementer(IPlugin, IBindingCategory)
@frozen
class FaxStatusCategory:
    """One hook, which can select one state; bindings for the status of faxes and for their documents."""

    name: str = "fax_status"
    bindings: tuple[str, ...] = ("fax.status.{FAX_ID}", "fax.object.{ACTION}")
    hooks: tuple[HookType, ...] = (
        HookType(
            id="fax_status",
            name="Fax Status",
            description="A fax that is being sent or received has reached another state",
            modifiers={
                "type": {
                    "type": "array",
                    "description": "The state of the fax",
                    "items": ["all", *STATES],
                    "default": "all",
                }
            },
            samples=tuple(_sample(state) for state in STATES),
        ),
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return [_STATUS]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""
        if event.name != "status":
            return []
        account_id = _account_id_from(event)
        payload = {
            name: value for name, value in public_form(event.body).items() if name not in _INTERNAL_KEYS
        }
        if account_id is not None:
            payload["account_id"] = account_id
        state = event.body.get("Fax-State")
        return [
            Occurrence("fax_status", account_id, payload, {"type": state} if isinstance(state, str) else {})
        ]

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`."""
        first, *segments = binding.split(".")
        if first != "fax":
            return None
        match segments:
            case ["status", fax_id]:
                faxes = f"fax.status.{account_segment(account)}"
                pattern = f"{faxes}.{id_segment('fax', segments, fax_id)}"
                return BindingPlan((TopicFilter(Topic(_EXCHANGE, f"{faxes}.*"), pattern, _STATUS),))
            case ["object", action] if action in (*_ACTIONS, "*"):
                databases, until = monthly_segments(account, now)
                patterns = [f"{action}.{database}.fax.*" for database in databases]
                every = Topic(_OBJECTS_EXCHANGE, f"{action}.*.fax.*")
                return BindingPlan(
                    tuple(
                        TopicFilter(Topic(_OBJECTS_EXCHANGE, pattern), pattern, every) for pattern in patterns
                    ),
                    until,
                )
            case ["object", action]:
                raise unsupported_event(action)
        raise invalid_format("fax", segments)

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        return [SubscriberEvent(event.routing_key, event.routing_key)]


fax_status = FaxStatusCategory()
