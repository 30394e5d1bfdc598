"""``/v2/webhooks`` and ``/v2/webhooks/samples``: which hooks can be created, and what they send. For anybody, without a token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import HookType
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.filters import Filters
from kazoo_bridge.rest.http.request_context import RequestContext, Response, handle_request

_PREFIX = "webhooks_"


def catalogue(hook_types: Iterable[HookType], *, superadmin: bool = False) -> list[dict[str, Any]]:
    """The hooks that can be created, as KAZOO lists them; what only super-admins may choose is shown to none but them."""
    return [
        {
            "id": one.id,
            "name": one.name,
            "description": one.description,
            "modifiers": _modifiers(one, superadmin),
        }
        for one in sorted(hook_types, key=lambda one: one.id)
    ]


def _modifiers(hook_type: HookType, superadmin: bool) -> dict[str, Any]:
    hidden = frozenset() if superadmin else hook_type.superadmin_values
    return {name: _without(modifier, hidden) for name, modifier in hook_type.modifiers.items()}


def _without(modifier: Any, hidden: frozenset[str]) -> Any:
    items = modifier.get("items") if isinstance(modifier, Mapping) else None
    if isinstance(items, Mapping):
        return {**modifier, "items": {value: told for value, told in items.items() if value not in hidden}}
    if isinstance(items, Sequence) and not isinstance(items, str):
        return {**modifier, "items": [value for value in items if value not in hidden]}
    return modifier


@frozen
class SampleResource:
    """What hooks send, one payload for every kind of event."""

    hook_types: Sequence[HookType]
    node: str

    async def list(self, request: KleinRequest) -> bytes:
        """GET: which samples there are."""

        async def handler(_: RequestContext) -> Response:
            return Response(sorted(_PREFIX + one.id for one in self.hook_types if one.samples))

        return await handle_request(request, self.node, handler)

    async def read(self, request: KleinRequest, sample_id: str) -> bytes:
        """GET: the samples of one kind of hook."""

        async def handler(exchange: RequestContext) -> Response:
            samples = {_PREFIX + one.id: one.samples for one in self.hook_types}.get(sample_id)
            if not samples:
                raise bad_identifier(sample_id)
            filters = Filters.parse(exchange.query)
            return Response([dict(sample) for sample in samples if filters.accepts(sample)])

        return await handle_request(request, self.node, handler)

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        app.route("/v2/webhooks/samples", methods=["GET"])(self.list)
        app.route("/v2/webhooks/samples/<sample_id>", methods=["GET"])(self.read)
