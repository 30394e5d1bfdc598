"""Which bindings there are, and which category answers for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen
from twisted.logger import Logger

from kazoo_bridge.interfaces import (
    MAX_BINDING_LENGTH,
    Account,
    BindingPlan,
    BindingRefused,
    IBindingCategory,
    IEventCategory,
)

_log = Logger()

#: The binding for the picture of live calls, which is no category's.
CALLS_BINDING = "calls"

_NOT_AVAILABLE = "no available subscriptions to requested binding"


@frozen
class BindingCatalogue:
    """The bindings of all categories."""

    categories: Sequence[IBindingCategory]

    @classmethod
    def from_categories(cls, categories: Iterable[IEventCategory]) -> BindingCatalogue:
        """Those of these categories that can be subscribed to."""
        return cls([category for category in categories if IBindingCategory.providedBy(category)])

    def by_category(self) -> Mapping[str, Sequence[str]]:
        """What clients can ask for: the first word of bindings -> the bindings."""
        listed: dict[str, list[str]] = {CALLS_BINDING: [CALLS_BINDING]}
        for category in self.categories:
            for binding in category.bindings:
                listed.setdefault(binding.partition(".")[0], []).append(binding)
        return dict(sorted(listed.items()))

    def resolve(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> tuple[IBindingCategory, BindingPlan]:
        """The category that knows the binding, and what it listens to; raises `BindingRefused`."""
        if len(binding) > MAX_BINDING_LENGTH:
            raise BindingRefused(f"a binding has at most {MAX_BINDING_LENGTH} characters")
        for category in self.categories:
            listening = _resolve_with(category, binding, account, superadmin, now)
            if listening is not None:
                return category, listening
        raise BindingRefused(f"{_NOT_AVAILABLE} {binding}")


def _resolve_with(
    category: IBindingCategory, binding: str, account: Account | None, superadmin: bool, now: float
) -> BindingPlan | None:
    try:
        return category.resolve_binding(binding, account, superadmin, now)
    except BindingRefused:
        raise
    except Exception:
        _log.failure("category {name} fails on binding {binding}", name=category.name, binding=binding)
        raise BindingRefused(f"{_NOT_AVAILABLE} {binding}") from None
