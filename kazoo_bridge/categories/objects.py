"""Objects (users, devices, callflows …): KAZOO's documents are created, edited or deleted.

KAZOO publishes ``{ACTION}.{DB}.{TYPE}.{ID}`` on ``configuration``. The payload follows its
``webhooks_object``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import (
    database_segment,
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
from kazoo_bridge.kazoo import ACCOUNTS_DB, Event, account_from_db, is_account_id

_EXCHANGE = "configuration"

ACTIONS = ("doc_created", "doc_edited", "doc_deleted")
TYPES = (
    "account",
    "callflow",
    "device",
    "faxbox",
    "media",
    "user",
    "vmbox",
    "fax",
    "mailbox_message",
    "call_recording",
)

#: Types whose documents are in the account's monthly database.
_MONTHLY = frozenset({"fax", "mailbox_message", "call_recording"})


def _account_id_from(body: Mapping[str, Any]) -> str | None:
    """Return the account whose database has the document; in `ACCOUNTS_DB` the document is the account."""
    database, document_id = body.get("Database"), body.get("ID")
    if database == ACCOUNTS_DB:
        return document_id if isinstance(document_id, str) and is_account_id(document_id) else None
    return account_from_db(database)


def _action_from(event: Event) -> str:
    """Return what happened to the document: an edit that marks it as deleted is a deletion."""
    soft_deleted = event.body.get("Is-Soft-Deleted")
    return "doc_deleted" if soft_deleted is True or soft_deleted == "true" else event.name


def _selector(description: str, values: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "array", "description": description, "items": ["all", *values]}


def _payload(document_id: object, account_id: str, action: str, kind: object) -> dict[str, Any]:
    return {"id": document_id, "account_id": account_id, "action": action, "type": kind}


@implementer(IPlugin, IBindingCategory)
@frozen
class ObjectCategory:
    """One hook, which selects types and actions.

    Bindings are ``object.{ACTION}.{TYPE}``, and KAZOO's older ``{ACTION}.{DB}.{TYPE}.{ID}``.
    """

    name: str = "object"
    bindings: tuple[str, ...] = tuple(f"object.{action}.{kind}" for action, kind in product(ACTIONS, TYPES))
    hooks: tuple[HookType, ...] = (
        HookType(
            id="object",
            name="Object",
            description="An object of the account, such as a user or a device, is created, edited or deleted",
            modifiers={
                "type": _selector("The type of the object", TYPES),
                "action": _selector("What happens to the object", ACTIONS),
            },
            samples=tuple(
                _payload(
                    f"{number:02d}7d1f5a9be04c3386ab52d90ce6f418",
                    "3f0a9c51d7e84b62a1c05d9e7b2f4860",
                    action,
                    kind,
                )
                for number, (kind, action) in enumerate(product(TYPES, ACTIONS))
            ),
        ),
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`. A hook for all types also gets the types that are not in `TYPES`."""
        return [Topic(_EXCHANGE, f"{action}.*.*.*") for action in ACTIONS]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`. Documents outside of accounts' databases have no occurrence."""
        action, kind = _action_from(event), event.body.get("Type")
        if action not in ACTIONS or not isinstance(kind, str):
            return []
        account_id = _account_id_from(event.body)
        if account_id is None:
            return []
        payload = {
            name: value
            for name, value in _payload(event.body.get("ID"), account_id, action, kind).items()
            if value is not None
        }
        return [Occurrence("object", account_id, payload, {"type": kind, "action": action})]

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`. The database in the older form is ignored: the account's is used."""
        first, *segments = binding.split(".")
        if first == "object":
            if len(segments) != 2:
                raise invalid_format("object", segments)
            (action, kind), document_id = segments, "*"
        elif first in ACTIONS:
            if len(segments) != 3:
                raise invalid_format("object", segments)
            action, kind, document_id = first, segments[1], id_segment("object", segments, segments[2])
        else:
            return None
        if action not in (*ACTIONS, "*") or kind not in (*TYPES, "*"):
            raise unsupported_event(f"{action}.{kind}")
        databases, until = _databases(kind, account, now)
        documents = [f"{action}.{database}.{kind}" for database in databases]
        every = Topic(_EXCHANGE, f"{action}.*.{kind}.*")
        return BindingPlan(
            tuple(
                TopicFilter(Topic(_EXCHANGE, f"{one}.*"), f"{one}.{document_id}", every) for one in documents
            ),
            until,
        )

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        return [SubscriberEvent(event.routing_key, event.routing_key)]


def _databases(kind: str, account: Account | None, now: float) -> tuple[list[str], float | None]:
    """Return the databases that documents of a type are in, and when they change (see `monthly_segments`)."""
    monthly, until = monthly_segments(account, now) if kind in ("*", *_MONTHLY) else ([], None)
    own = [] if kind in _MONTHLY else [database_segment(account)]
    return list(dict.fromkeys((*own, *monthly))), until


objects = ObjectCategory()
