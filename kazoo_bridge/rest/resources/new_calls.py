"""New calls: ``PUT /v2/accounts/{A}/channels``, and crossbar's path ``quickcall``.

The path, and what it does with the number and the parameters, are those of ``cb_quickcall`` in
``2600hz/kazoo``.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import ICalls, IDirectory
from kazoo_bridge.kazoo import is_true
from kazoo_bridge.rest.http.authorization import account_handler
from kazoo_bridge.rest.http.errors import invalid_method
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.rest.http.routing import RoutedResource, route
from kazoo_bridge.rest.resources.channels import parse_command

_QUICKCALL = "quickcall/<number>"
_USER = f"/v2/accounts/<account_id>/users/<user_id>/{_QUICKCALL}"
_DEVICE = f"/v2/accounts/<account_id>/devices/<device_id>/{_QUICKCALL}"

#: What people write into numbers to make them readable.
_PUNCTUATION = re.compile(r"[ ,.()-]")


@frozen
class NewCallResource(RoutedResource):
    """New calls."""

    directory: IDirectory
    calls: ICalls

    @route("PUT", "/v2/accounts/<account_id>/channels")
    @account_handler
    async def place(self, context: RequestContext, account_id: str) -> Response:
        """Make a new call; answers with what the switch has reported within a short time."""
        name, arguments = parse_command(context.envelope)
        return Response((await self.calls.place(account_id, name, arguments)).document(), 202)

    @route("GET", _USER)
    @account_handler
    async def user_quickcall(
        self, context: RequestContext, account_id: str, user_id: str, number: str
    ) -> Response:
        """Let the telephones of a user ring, and connect them to the number."""
        return await self._quickcall(context, account_id, "user", user_id, number)

    @route("POST", _USER)
    @account_handler
    async def post_user_quickcall(
        self, context: RequestContext, account_id: str, user_id: str, number: str
    ) -> Response:
        """Do the same as `user_quickcall`."""
        return await self._quickcall(context, account_id, "user", user_id, number)

    @route("GET", _DEVICE)
    @account_handler
    async def device_quickcall(
        self, context: RequestContext, account_id: str, device_id: str, number: str
    ) -> Response:
        """Let a device ring, and connect it to the number."""
        return await self._quickcall(context, account_id, "device", device_id, number)

    @route("POST", _DEVICE)
    @account_handler
    async def post_device_quickcall(
        self, context: RequestContext, account_id: str, device_id: str, number: str
    ) -> Response:
        """Do the same as `device_quickcall`."""
        return await self._quickcall(context, account_id, "device", device_id, number)

    async def _quickcall(
        self, context: RequestContext, account_id: str, kind: str, member_id: str, number: str
    ) -> Response:
        if context.request.method == b"HEAD":
            raise invalid_method(("GET", "POST"))  # clients expect that it does nothing
        options = _Options(context)
        if options.get("number_filter") != "false":
            number = _PUNCTUATION.sub("", number)
        data = {
            "from_type": kind,
            "from_id": member_id,
            "to": number,
            "caller_id_name": options.get("cid-name"),
            "caller_id_number": options.get("cid-number"),
            "timeout_s": options.timeout(),
            "auto_answer": is_true(options.get("auto_answer", "true")),
        }
        return Response((await self.calls.place(account_id, "originate", data)).document(), 202)


@frozen
class _Options:
    """The parameters of ``quickcall``, from the body's ``data`` or else from the query."""

    context: RequestContext

    def get(self, name: str, default: Any = None) -> Any:
        value = self.context.find_value(name)
        return default if value in (None, "") else value

    def timeout(self) -> Any:
        """Return ``timeout`` in seconds; text in digits as a number. None: not given."""
        value = self.get("timeout")
        return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value) else value
