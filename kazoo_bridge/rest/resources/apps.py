"""``/v2/accounts/{A}/apps_store`` and ``/v2/about``: what monster-ui asks for before it shows its apps.

The rows are those of ``cb_apps_store``, the keys of ``about`` some of those of ``cb_about``, both in
``applications/crossbar`` of ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge import __version__
from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.rest.http.authorization import account_handler, open_handler
from kazoo_bridge.rest.http.errors import bad_identifier
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route

_APPS = "/v2/accounts/<account_id>/apps_store"

#: The one app of monster-ui whose requests this service answers. Its name is that of its folder there.
_WEBHOOKS: Mapping[str, Any] = {
    "id": "webhooks",
    "name": "webhooks",
    "i18n": {"en-US": {"label": "Webhooks", "description": "Sends events of the account to a web server"}},
    "tags": ["developer"],
    "allowed_users": "all",
    "users": [],
    "masqueradable": True,
}


@frozen
class AppsResource(RoutedResource):
    """The apps for monster-ui, and the service's version."""

    directory: IDirectory

    @route("GET", _APPS)
    @account_handler
    async def list(self, _context: RequestContext, account_id: str) -> Response:
        """Answer with the apps that work with this service."""
        return Response([_row(account_id)])

    @route("GET", f"{_APPS}/<app_id>")
    @account_handler
    async def read(self, _context: RequestContext, account_id: str, app_id: str) -> Response:
        """Answer with one app."""
        if app_id != _WEBHOOKS["id"]:
            raise bad_identifier(app_id)
        return Response(_row(account_id))

    @route("GET", "/v2/about")
    @open_handler
    async def about(self, context: RequestContext) -> Response:
        """Answer a valid token with the version of the service."""
        await context.authenticate(self.directory)
        return Response({"version": __version__})


def _row(account_id: str) -> dict[str, Any]:
    return {**_WEBHOOKS, "account_id": account_id}
