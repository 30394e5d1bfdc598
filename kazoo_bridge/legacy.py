"""The names of the first release, which category plugins may still use.

`FORMER_NAMES` and `FORMER_METHODS` map former names to present ones. The packages `kazoo_bridge.interfaces`
and `kazoo_bridge.kazoo` resolve the former through a module ``__getattr__``; `kazoo_bridge.plugins.legacy`
adapts categories that implement former methods, and logs one warning for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, wraps
from typing import Any, TypeVar

T = TypeVar("T")

#: Former names in `kazoo_bridge.interfaces` and `kazoo_bridge.kazoo`.
FORMER_NAMES: Mapping[str, str] = {
    "Listening": "BindingPlan",
    "Settlement": "DeliveryResults",
    "Source": "TopicFilter",
    "Telling": "SubscriberEvent",
    "Unfinished": "Requeue",
    "account_of_db": "account_from_db",
    "normalise": "normalize",
    "plain_number": "normalize_number",
}

#: Former methods of `IBindingCategory`.
FORMER_METHODS: Mapping[str, str] = {"listening": "resolve_binding", "tellings": "subscriber_events"}

#: Former keyword arguments of `Occurrence`, `BindingPlan` and `SubscriberEvent`.
FORMER_KEYWORDS: Mapping[str, str] = {
    "dialled": "called_number",
    "of_owner": "for_owner",
    "own_hook": "inline_hook",
    "sources": "filters",
}


def resolve_former_name(module: str, namespace: Mapping[str, Any], name: str) -> Any:
    """Return what the former name `name` of a module means today; for the module's ``__getattr__``.

    A class is returned so that it accepts former keyword arguments, too. Raises AttributeError for every
    other name.
    """
    present = FORMER_NAMES.get(name, "")
    if present not in namespace:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    found = namespace[present]
    return _former_class(name, found) if isinstance(found, type) else found


def accept_former_keywords(cls: type[T]) -> type[T]:
    """Let a class whose name has not changed accept `FORMER_KEYWORDS`, beside the present ones."""
    initialize = cls.__init__

    @wraps(initialize)
    def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:  # noqa: N807
        if not FORMER_KEYWORDS.keys().isdisjoint(keywords):
            keywords = _present_keywords(keywords)
        initialize(self, *arguments, **keywords)

    cls.__init__ = __init__  # type: ignore[method-assign] # wraps the constructor
    return cls


@cache
def _former_class(name: str, present: type) -> type:
    """Make a class that makes instances of `present`.

    So the present class pays nothing for its former keywords.
    """
    if issubclass(present, Exception):
        return present

    def make(_: type, *arguments: Any, **keywords: Any) -> Any:
        return present(*arguments, **_present_keywords(keywords))

    return type(name, (present,), {"__new__": make})


def _present_keywords(keywords: Mapping[str, Any]) -> dict[str, Any]:
    return {FORMER_KEYWORDS.get(name, name): value for name, value in keywords.items()}
