"""``/v2/webhooks`` and ``/v2/webhooks/samples``: the types of hooks, and samples of what they send. No
token needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import HookType, IDirectory
from kazoo_bridge.rest.http.authorization import open_handler
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_SAMPLE_PREFIX = "webhooks_"


@frozen
class CatalogueResource(RoutedResource):
    """The types of hooks that can be created."""

    directory: IDirectory
    hook_types: Callable[[], Sequence[HookType]]

    @route("GET", "/v2/webhooks")
    @open_handler
    async def list(self, context: RequestContext) -> Response:
        """Answer with all types. Only a super-admin's token shows the values that only super-admins may
        choose."""
        await context.authenticate_optional(self.directory)
        return Response(list_hook_types(self.hook_types(), superadmin=context.is_superadmin))

    @route("GET", "/v2/webhooks/samples")
    @open_handler
    async def list_samples(self, _context: RequestContext) -> Response:
        """Answer with the ids of all samples."""
        return Response(sorted(_SAMPLE_PREFIX + one.id for one in self.hook_types() if one.samples))

    @route("GET", "/v2/webhooks/samples/<sample_id>")
    @open_handler
    async def read_samples(self, context: RequestContext, sample_id: str) -> Response:
        """Answer with the samples of one type, one payload for each kind of event."""
        samples = {_SAMPLE_PREFIX + one.id: one.samples for one in self.hook_types()}.get(sample_id)
        if not samples:
            raise bad_identifier(sample_id)
        filters = Filters.parse(context.query)
        return Response([dict(sample) for sample in samples if filters.accepts(sample)])


def list_hook_types(hook_types: Iterable[HookType], *, superadmin: bool = False) -> list[dict[str, Any]]:
    """Return hook types in the form of KAZOO's catalogue, by id.

    `superadmin`: with the values that are listed for super-admins only.
    """
    return [
        {
            "id": one.id,
            "name": one.name,
            "description": one.description,
            "modifiers": _list_modifiers(one, superadmin),
        }
        for one in sorted(hook_types, key=lambda one: one.id)
    ]


def _list_modifiers(hook_type: HookType, superadmin: bool) -> dict[str, Any]:
    hidden = frozenset() if superadmin else hook_type.superadmin_values
    return {name: _without_values(modifier, hidden) for name, modifier in hook_type.modifiers.items()}


def _without_values(modifier: Any, hidden: frozenset[str]) -> Any:
    items = modifier.get("items") if isinstance(modifier, Mapping) else None
    if isinstance(items, Mapping):
        shown = {value: description for value, description in items.items() if value not in hidden}
        return {**modifier, "items": shown}
    if isinstance(items, Sequence) and not isinstance(items, str):
        return {**modifier, "items": [value for value in items if value not in hidden]}
    return modifier
