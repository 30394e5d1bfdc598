"""The names of the first release, which category plugins may still use.

`FORMER_NAMES` and `FORMER_METHODS` map former names to present ones. The packages `kazoo_bridge.interfaces`
and `kazoo_bridge.kazoo` resolve the former through a module ``__getattr__``; `kazoo_bridge.plugins.legacy`
adapts categories that implement former methods, and logs one warning for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from operator import attrgetter
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

    Raises AttributeError for every other name.
    """
    present = FORMER_NAMES.get(name, "")
    if present not in namespace:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return namespace[present]


def accept_former_names(cls: type[T]) -> type[T]:
    """Let a class accept `FORMER_KEYWORDS` beside the present ones, and read the attributes by both names.

    A former keyword wins over its present one, since ``attrs.evolve`` passes the present values of all
    attributes that its caller does not name.
    """
    initialize = cls.__init__

    @wraps(initialize)
    def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:  # noqa: N807
        if keywords and not FORMER_KEYWORDS.keys().isdisjoint(keywords):
            keywords = _present_keywords(keywords)
        initialize(self, *arguments, **keywords)

    cls.__init__ = __init__  # type: ignore[method-assign] # wraps the constructor
    for former, present in FORMER_KEYWORDS.items():
        if hasattr(cls, present):
            setattr(cls, former, property(attrgetter(present)))
    return cls


def _present_keywords(keywords: Mapping[str, Any]) -> dict[str, Any]:
    present = {name: value for name, value in keywords.items() if name not in FORMER_KEYWORDS}
    return present | {FORMER_KEYWORDS[name]: value for name, value in keywords.items() if name not in present}
