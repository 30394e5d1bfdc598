"""The kinds of hooks that there are: what a hook may choose from, and what the names of former times stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import HookType

#: The hook that hears every event.
ANY_EVENT = "all"

#: The choice that takes every value.
ANY_VALUE = "all"

#: field (dotted) -> rule -> what is wrong, in KAZOO's form.
FieldErrors = dict[str, dict[str, dict[str, Any]]]


@frozen
class HookCatalogue:
    """Hook types by id, and the former ids."""

    types: Mapping[str, HookType]
    _aliases: Mapping[str, tuple[str, Mapping[str, frozenset[str]]]]

    @classmethod
    def from_types(cls, types: Iterable[HookType]) -> HookCatalogue:
        """The catalogue of these types; of two with one id the first counts."""
        by_id: dict[str, HookType] = {}
        aliases: dict[str, tuple[str, Mapping[str, frozenset[str]]]] = {}
        for one in types:
            by_id.setdefault(one.id, one)
            for alias, selectors in one.aliases.items():
                aliases.setdefault(alias, (one.id, selectors))
        return cls(by_id, {alias: meant for alias, meant in aliases.items() if alias not in by_id})

    @property
    def ids(self) -> list[str]:
        """Every id that a hook document may name, sorted."""
        return sorted({*self.types, *self._aliases, ANY_EVENT})

    def resolve_alias(
        self, hook: str, custom_data: Mapping[str, Any]
    ) -> tuple[str, Mapping[str, frozenset[str]]]:
        """The event that a document's ``hook`` listens to, and the values it admits for each selector; no entry: any value."""
        if hook in self._aliases:
            return self._aliases[hook]
        known = self.types.get(hook)
        chosen = {name: custom_data[name] for name in known.modifiers if name in custom_data} if known else {}
        return hook, {name: frozenset({value}) for name, value in chosen.items() if value != ANY_VALUE}

    def validate(self, hook: str, custom_data: Mapping[str, Any], *, superadmin: bool) -> FieldErrors:
        """What is wrong with the choices that a document makes in its ``custom_data``."""
        known = self.types.get(hook)
        if known is None:
            return {}
        return dict(_validate(known, custom_data, superadmin))


def allowed_values(hook_type: HookType, name: str, *, superadmin: bool) -> list[str]:
    """The values that may be chosen for the modifier `name`."""
    hidden = frozenset() if superadmin else hook_type.superadmin_values
    return [value for value in hook_type.modifiers[name].get("items", ()) if value not in hidden]


def _validate(
    known: HookType, custom_data: Mapping[str, Any], superadmin: bool
) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    for name, modifier in known.modifiers.items():
        field = f"custom_data.{name}"
        if name not in custom_data:
            if "default" not in modifier:
                yield field, {"required": {"message": f"this field is required for {known.id} hooks"}}
            continue
        allowed = allowed_values(known, name, superadmin=superadmin)
        given = custom_data[name]
        if given != ANY_VALUE and given not in allowed:
            wrong = {
                "message": "expected one of the values in target",
                "target": allowed,
                "cause": given,
                "value": given,
            }
            yield field, {"enum": wrong}
