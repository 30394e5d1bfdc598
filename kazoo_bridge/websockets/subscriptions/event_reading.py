"""Reads an event as subscribers receive it, and says how to wait for the owner of a called number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

from twisted.logger import Logger

from kazoo_bridge.interfaces import IBindingCategory, SubscriberEvent
from kazoo_bridge.kazoo import Event

_log = Logger()

T = TypeVar("T")

#: Called with an event, a called number whose owner is not in memory, and a callable that yields what the
#: event matches by what is in memory then. Returns True if it calls that later; else the event has no owner.
WaitForOwner: TypeAlias = Callable[[Event, str, Callable[[], Iterator[T]]], bool]


def never_wait(_event: Event, _number: str, _match: Callable[[], Iterator[Any]]) -> bool:
    """Use what is in memory; a `WaitForOwner`."""
    return False


def read_events(category: IBindingCategory, event: Event) -> list[SubscriberEvent]:
    """Return the category's subscriber events; a failure of the category is logged, and gives none."""
    try:
        return list(category.subscriber_events(event))
    except Exception:
        _log.failure(
            "reading an event failed category={category} routing_key={routing_key}",
            category=category.name,
            routing_key=event.routing_key,
        )
        return []


def for_number_owner(
    subscriber_event: SubscriberEvent, account_for_number: Callable[[str], str | None]
) -> SubscriberEvent:
    """Re-key an event without an account to the account that owns the called number, if that is known."""
    if subscriber_event.called_number is None or subscriber_event.for_owner is None:
        return subscriber_event
    owner = account_for_number(subscriber_event.called_number)
    return subscriber_event if owner is None else subscriber_event.for_owner(owner)
