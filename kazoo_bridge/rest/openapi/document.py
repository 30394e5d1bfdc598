"""The OpenAPI document of the whole service, and the resource that serves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import frozen

from kazoo_bridge import __version__
from kazoo_bridge.rest.http.request_context import CORS_HEADERS, RequestWithContext
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.openapi import (
    accounts,
    catalogue,
    channels,
    deliveries,
    error_responses,
    hooks,
    operational,
    parameters,
    sockets,
)
from kazoo_bridge.rest.openapi.operations import make_paths

_ABOUT = """\
Carries KAZOO's real-time events to webhooks and websockets, and commands back, with KAZOO's own paths, envelopes and error words.

An account is reached with its own tokens, those of its ancestors, and those of super-admins. Beside the places below a token may stand \
in `auth_token`, in the body, beside `data` or in it.

Every path that takes GET takes HEAD, and every path takes OPTIONS. For clients that cannot send every verb a POST carries one in \
`?verb=` or in `verb` beside `data`. A slash at the end of a path makes no difference. Parameters that are not known are ignored.
"""

_SECURITY_SCHEMES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "query": {"type": "apiKey", "in": "query", "name": "auth_token"},
}

_TAGS = {
    "login": "A token for an API key, and what a token stands for",
    "accounts": "The account and its relatives",
    "catalogue": "What hooks and bindings there are; for anybody",
    "hooks": "An account's webhooks",
    "attempts": "What was sent to hooks, and what came back",
    "deliveries": "What waits for its hook or was given up",
    "limits": "When an account's hooks are disabled for their failures",
    "sockets": "Who is connected to the websockets",
    "events": "Events for clients without websockets",
    "channels": "Live calls, and commands to them",
    "operating": "For whoever runs the service",
}


def make_document(hook_document: Mapping[str, Any], secret_schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI document.

    `hook_document` is the JSON schema that validates hook documents, `secret_schemas` those of the keys about secrets.
    """
    operations = (
        *accounts.OPERATIONS,
        *catalogue.OPERATIONS,
        *hooks.make_operations(secret_schemas),
        *deliveries.OPERATIONS,
        *sockets.OPERATIONS,
        *channels.OPERATIONS,
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
        # Relative to the document itself, so that it is right below any path of a proxy.
        "servers": [{"url": "."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": make_paths(operations),
        "components": {
            "securitySchemes": _SECURITY_SCHEMES,
            "schemas": {
                **hooks.make_schemas(hook_document, secret_schemas),
                **accounts.SCHEMAS,
                **catalogue.SCHEMAS,
                **deliveries.SCHEMAS,
                **sockets.SCHEMAS,
                **channels.SCHEMAS,
                **error_responses.SCHEMAS,
            },
            "parameters": dict(parameters.COMPONENTS),
            "responses": dict(error_responses.RESPONSES),
        },
    }


@frozen
class OpenApiResource(RoutedResource):
    """Serves the document to any client."""

    content: bytes

    @classmethod
    def from_schemas(
        cls, hook_document: Mapping[str, Any], secret_schemas: Mapping[str, Any]
    ) -> OpenApiResource:
        """Build the document once; the parameters are those of `make_document`."""
        return cls(orjson.dumps(make_document(hook_document, secret_schemas)))

    @route("GET", operational.DOCUMENT_PATH)
    async def read(self, request: RequestWithContext) -> bytes:
        """Answer with the document."""
        web_request = request.context.request
        for name, value in CORS_HEADERS.items():
            web_request.setHeader(name, value)
        web_request.setHeader("Content-Type", "application/json")
        web_request.setHeader("Cache-Control", "no-cache")
        web_request.setHeader("Content-Length", str(len(self.content)))
        return self.content
