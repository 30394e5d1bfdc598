"""The names of the first release, which category plugins may still use.

`FORMER_NAMES` and `FORMER_METHODS` map former names to present ones. The packages `kazoo_bridge.interfaces`
and `kazoo_bridge.kazoo` resolve the former through a module ``__getattr__``; `kazoo_bridge.plugins.legacy`
adapts categories that implement former methods, and logs one warning for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
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


def accept_former_keywords(**names: str) -> Callable[[type[T]], type[T]]:
    """Let a class accept former keyword arguments (former name = present name), beside the present ones."""

    def decorate(cls: type[T]) -> type[T]:
        initialize = cls.__init__

        @wraps(initialize)
        def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:  # noqa: N807
            if not names.keys().isdisjoint(keywords):
                keywords = {names.get(name, name): value for name, value in keywords.items()}
            initialize(self, *arguments, **keywords)

        cls.__init__ = __init__  # type: ignore[method-assign]
        return cls

    return decorate
