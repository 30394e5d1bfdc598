"""The catalogue of hook types: the events that hooks listen to, their modifiers, and former names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from kazoo_bridge.interfaces import HookType
from kazoo_bridge.schema_errors import FieldErrors, add_errors, field_error

#: The value of ``hook`` in a document that listens to every event of `KAZOO_EVENTS`.
ANY_EVENT = "all"

#: The value of ``hook`` in a document that listens to every event, those of plugins included.
EVERYTHING = "everything"

#: The hooks that KAZOO has (``webhooks_util:available_events`` in ``2600hz/kazoo``).
KAZOO_EVENTS = frozenset(
    {
        "channel_answer",
        "channel_bridge",
        "channel_create",
        "channel_destroy",
        "mms",
        "notifications",
        "object",
        "parking",
        "sms",
    }
)

#: The value of a modifier that selects every value.
ANY_VALUE = "all"

#: Keys of ``custom_data`` that KAZOO never sends, whatever the hook (``webhooks_util`` in ``2600hz/kazoo``).
KAZOO_SELECTORS = frozenset({"type", "action"})


@frozen
class HookCatalogue:
    """Hook types by id, and aliases of them."""

    types: dict[str, HookType] = field(factory=dict)
    _aliases: dict[str, tuple[str, Mapping[str, frozenset[str]]]] = field(factory=dict)

    @classmethod
    def from_types(cls, types: Iterable[HookType]) -> HookCatalogue:
        """Make a catalogue. Of several types with the same id the first is used, and likewise of aliases."""
        catalogue = cls()
        catalogue.add(types)
        return catalogue

    def add(self, types: Iterable[HookType]) -> None:
        """Add types, like `from_types`. Hooks that were parsed before must be parsed again."""
        for hook_type in types:
            self.types.setdefault(hook_type.id, hook_type)
            for alias, selectors in hook_type.aliases.items():
                self._aliases.setdefault(alias, (hook_type.id, selectors))
        for hook_id in self.types:
            self._aliases.pop(hook_id, None)

    @property
    def ids(self) -> list[str]:
        """Every value that ``hook`` may have in a document, sorted: ids, aliases, and those for several."""
        return sorted({*self.types, *self._aliases, ANY_EVENT, EVERYTHING})

    def resolve_alias(
        self, hook: str, custom_data: Mapping[str, Any]
    ) -> tuple[str, Mapping[str, frozenset[str]]]:
        """Return the event that a document listens to, and the selector values that it accepts.

        `hook` and `custom_data` are those of the document. For an alias the selectors are the alias's; else
        they are the modifiers that `custom_data` sets. A selector that is missing in the result accepts every
        value.
        """
        if hook in self._aliases:
            return self._aliases[hook]
        if not custom_data:
            return hook, {}
        hook_type = self.types.get(hook)
        modifiers = hook_type.modifiers if hook_type else ()
        chosen = {name: custom_data[name] for name in modifiers if name in custom_data}
        return hook, {name: frozenset({value}) for name, value in chosen.items() if value != ANY_VALUE}

    def selector_keys(self, event: str) -> frozenset[str]:
        """Return the keys of ``custom_data`` that select events and are not sent.

        `event` is what `resolve_alias` returns. The keys are the modifiers of the hook type. Hooks that KAZOO
        has, and those for several events, have `KAZOO_SELECTORS`, too.
        """
        hook_type = self.types.get(event)
        if hook_type is None:
            return KAZOO_SELECTORS
        keys = frozenset(hook_type.modifiers)
        return keys | KAZOO_SELECTORS if event in KAZOO_EVENTS else keys

    def validate(self, hook: str, custom_data: Mapping[str, Any]) -> FieldErrors:
        """Validate the modifiers that a document sets in its ``custom_data``.

        A modifier without a default is required. The result is empty if all is valid, or if `hook` is an
        alias or unknown. Values that are listed for super-admins only are valid for all, like in KAZOO.
        """
        errors: FieldErrors = {}
        hook_type = self.types.get(hook)
        if hook_type is None:
            return errors
        for name, modifier in hook_type.modifiers.items():
            field = f"custom_data.{name}"
            if name not in custom_data:
                if "default" not in modifier:
                    message = f"this field is required for {hook} hooks"
                    add_errors(errors, field_error(field, "required", message))
                continue
            allowed, given = list(modifier.get("items", ())), custom_data[name]
            if given != ANY_VALUE and given not in allowed:
                listed = [value for value in allowed if value not in hook_type.superadmin_values]
                add_errors(errors, field_error(field, "enum", target=listed, cause=given))
        return errors
