"""The bindings of all categories, and the category that resolves one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen
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

#: The binding to live calls, which belongs to no category.
CALLS_BINDING = "calls"

_NOT_AVAILABLE = "no available subscriptions to requested binding"


@frozen
class BindingCatalogue:
    """The categories with bindings, in the order in which they are asked."""

    categories: list[IBindingCategory] = field(factory=list)

    @classmethod
    def from_categories(cls, categories: Iterable[IEventCategory]) -> BindingCatalogue:
        """Select the categories that have bindings."""
        catalogue = cls()
        catalogue.add(categories)
        return catalogue

    def add(self, categories: Iterable[IEventCategory]) -> None:
        """Add those of the categories that have bindings."""
        for category in categories:
            if IBindingCategory.providedBy(category):
                self.categories.append(category)

    def by_category(self) -> Mapping[str, Sequence[str]]:
        """Return the bindings by their first segment, sorted, as clients see them."""
        bindings: dict[str, list[str]] = {CALLS_BINDING: [CALLS_BINDING]}
        for category in self.categories:
            for binding in category.bindings:
                bindings.setdefault(binding.partition(".")[0], []).append(
                    _shown(category, binding) or binding
                )
        return dict(sorted(bindings.items()))

    def resolve(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> tuple[IBindingCategory, BindingPlan]:
        """Resolve a binding for `account` (None: all accounts); see `IBindingCategory.resolve_binding`.

        `now` is in Unix seconds. Returns the category that knows the binding, and its plan. Raises
        `BindingRefused` if no category knows the binding, or its category refuses it or fails.
        """
        if len(binding) > MAX_BINDING_LENGTH:
            raise BindingRefused(f"a binding has at most {MAX_BINDING_LENGTH} characters")
        for category in self.categories:
            plan = _resolve_with(category, binding, account, superadmin, now)
            if plan is not None:
                return category, plan
        raise BindingRefused(f"{_NOT_AVAILABLE} {binding}")


def _shown(category: IBindingCategory, binding: str) -> str | None:
    try:
        plan = category.resolve_binding(binding, None, True, 0.0)
    except Exception:  # a category need not resolve placeholders, or bindings for all accounts
        return binding
    return None if plan is None else plan.shown or binding


def _resolve_with(
    category: IBindingCategory, binding: str, account: Account | None, superadmin: bool, now: float
) -> BindingPlan | None:
    try:
        return category.resolve_binding(binding, account, superadmin, now)
    except BindingRefused:
        raise
    except Exception:
        _log.failure(
            "resolving a binding failed category={category} binding={binding}",
            category=category.name,
            binding=binding,
        )
        raise BindingRefused(f"{_NOT_AVAILABLE} {binding}") from None
