"""The OpenAPI document of the service, and the resource that serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from attrs import field, frozen

from kazoo_bridge import __version__
from kazoo_bridge.rest.http.request_context import CORS_HEADERS, RequestWithContext
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.openapi import (
    accounts,
    apps,
    catalogue,
    channels,
    deliveries,
    error_responses,
    hooks,
    new_calls,
    nodes,
    operational,
    parameters,
    people,
    pivots,
    sockets,
)
from kazoo_bridge.rest.openapi.operations import make_paths

_ABOUT = """\
Delivers KAZOO's real-time events as webhooks and over websockets, and accepts commands, with KAZOO's own \
paths, envelopes and error words.

An account can be used with its own tokens, with those of its ancestors, and with those of super-admins. A \
token can also be `auth_token` in the body, beside `data` or in it.

Every path that has GET has HEAD, and every path has OPTIONS. For clients that cannot send every method, a \
POST can carry one as `?verb=`, or as `verb` beside `data`. A slash at the end of a path is ignored, and so \
are unknown parameters.
"""

_SECURITY_SCHEMES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "query": {"type": "apiKey", "in": "query", "name": "auth_token"},
}

_TAGS = {
    "login": "Tokens for API keys, and the account of a token",
    "accounts": "The account and its relatives",
    "people": "Users, devices and groups of an account",
    "catalogue": "The types of hooks, and the bindings; no token needed",
    "hooks": "An account's webhooks",
    "attempts": "Requests to hooks, and the answers",
    "deliveries": "Events that wait for their hook, or were given up",
    "limits": "After how many failures an account's hooks are disabled",
    "sockets": "The connected websockets",
    "events": "Event streams for clients without websockets",
    "channels": "Live calls, and commands to them",
    "pivots": "Pivot points: KAZOO asks what to do with a call, and connected clients answer",
    "operating": "For the operator of the service",
}


def make_document(
    hook_document: Mapping[str, Any], secret_schemas: Mapping[str, Any], pivot_document: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the OpenAPI document.

    `hook_document` and `pivot_document` are the JSON schemas that validate documents of hooks and of pivot
    points, `secret_schemas` those of the keys about secrets.
    """
    operations = (
        *accounts.OPERATIONS,
        *people.OPERATIONS,
        *apps.OPERATIONS,
        *catalogue.OPERATIONS,
        *hooks.make_operations(secret_schemas),
        *deliveries.OPERATIONS,
        *sockets.OPERATIONS,
        *channels.OPERATIONS,
        *pivots.OPERATIONS,
        *new_calls.OPERATIONS,
        *nodes.OPERATIONS,
        *operational.OPERATIONS,
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kazoo_bridge",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Relative to the document, so that it is right behind a proxy too.
        "servers": [{"url": "."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": make_paths(operations),
        "components": {
            "securitySchemes": _SECURITY_SCHEMES,
            "schemas": {
                **hooks.make_schemas(hook_document, secret_schemas),
                **accounts.SCHEMAS,
                **people.SCHEMAS,
                **apps.SCHEMAS,
                **catalogue.SCHEMAS,
                **deliveries.SCHEMAS,
                **sockets.SCHEMAS,
                **channels.SCHEMAS,
                **pivots.make_schemas(pivot_document),
                **new_calls.SCHEMAS,
                **nodes.SCHEMAS,
                **error_responses.SCHEMAS,
            },
            "parameters": dict(parameters.COMPONENTS),
            "responses": dict(error_responses.RESPONSES),
        },
    }


@frozen
class OpenApiResource(RoutedResource):
    """Serves the document to any client."""

    _hook_document: Callable[[], Mapping[str, Any]]
    _secret_schemas: Mapping[str, Any]
    _pivot_document: Mapping[str, Any]
    #: The schema of hooks that the document was built with, and the document.
    _built: list[tuple[Mapping[str, Any], bytes]] = field(init=False, factory=list)

    @classmethod
    def from_schemas(
        cls,
        hook_document: Callable[[], Mapping[str, Any]],
        secret_schemas: Mapping[str, Any],
        pivot_document: Mapping[str, Any],
    ) -> OpenApiResource:
        """Build the document; the parameters are those of `make_document`.

        It is built again when what `hook_document` returns has changed.
        """
        resource = cls(hook_document, secret_schemas, pivot_document)
        resource.content()
        return resource

    def content(self) -> bytes:
        """Return the document as JSON."""
        hook_document = self._hook_document()
        if not self._built or self._built[0][0] != hook_document:
            document = make_document(hook_document, self._secret_schemas, self._pivot_document)
            self._built[:] = [(hook_document, orjson.dumps(document))]
        return self._built[0][1]

    @route("GET", operational.DOCUMENT_PATH)
    async def read(self, request: RequestWithContext) -> bytes:
        """Answer with the document."""
        web_request = request.context.request
        for name, value in CORS_HEADERS.items():
            web_request.setHeader(name, value)
        web_request.setHeader("Content-Type", "application/json")
        web_request.setHeader("Cache-Control", "no-cache")
        content = self.content()
        web_request.setHeader("Content-Length", str(len(content)))
        return content
