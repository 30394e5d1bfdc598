"""What can be done with hooks beside writing their documents: enabling them again, sending one a sample."""

from __future__ import annotations

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest

from kazoo_bridge.interfaces import IDirectory, StoredHook
from kazoo_bridge.rest.http.authorization import for_account
from kazoo_bridge.rest.http.errors import bad_identifier, too_many_requests, validation_error
from kazoo_bridge.rest.http.request_context import RequestContext, Response
from kazoo_bridge.webhooks.attempts.sample_sender import NoSample, SampleSender, TooManySamples
from kazoo_bridge.webhooks.hooks.hook_service import HookService

_RE_ENABLE = "re-enable"


def _require_re_enable(exchange: RequestContext) -> None:
    """KAZOO looks for the key in the data, in the query, and beside the data."""
    data = exchange.envelope.get("data")
    places = (
        data.get(_RE_ENABLE) if isinstance(data, dict) else None,
        exchange.query.first(_RE_ENABLE),
        exchange.envelope.get(_RE_ENABLE),
    )
    given = next((value for value in places if value is not None), None)
    if given is None:
        raise validation_error(
            {_RE_ENABLE: {"required": {"message": "collections are patched with re-enable only"}}}
        )
    if given is not True and given != "true":
        wrong = {
            "message": "expected one of the values in target",
            "target": [True],
            "cause": given,
            "value": given,
        }
        raise validation_error({_RE_ENABLE: {"enum": wrong}})


@frozen
class HookActionResource:
    """``PATCH …/webhooks``, ``PATCH …/descendants/webhooks``, ``POST …/webhooks/{ID}/test``."""

    directory: IDirectory
    hooks: HookService
    trial: SampleSender
    node: str

    async def re_enable(self, request: KleinRequest, account_id: str) -> bytes:
        """PATCH: enable the account's hooks that were disabled for their failures."""

        async def handler(exchange: RequestContext) -> Response:
            _require_re_enable(exchange)
            return Response("hooks updated", more={"count": await self.hooks.re_enable([account_id])})

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def re_enable_descendants(self, request: KleinRequest, account_id: str) -> bytes:
        """PATCH: the same for this account and all below it."""

        async def handler(exchange: RequestContext) -> Response:
            _require_re_enable(exchange)
            accounts = {account_id, *await self.directory.descendants(account_id)}
            return Response("hooks updated", more={"count": await self.hooks.re_enable(accounts)})

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def test(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """POST: send a sample now; the attempt is the answer."""

        async def handler(_: RequestContext) -> Response:
            hook = await self.hooks.get(account_id, hook_id)
            if hook is None:
                raise bad_identifier(hook_id)
            try:
                return Response(await self.trial.send(hook))
            except NoSample as error:
                raise validation_error(
                    {"hook": {"enum": {"message": str(error), "cause": hook.document["hook"]}}}
                ) from None
            except TooManySamples:
                raise too_many_requests(10, "samples at once") from None

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def rotate_secret(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """POST: a new secret, made here or given; the one before stays valid for a while."""

        async def handler(exchange: RequestContext) -> Response:
            given = {"secret": True} | (exchange.data if exchange.envelope.get("data") else {})
            if not given["secret"]:
                raise validation_error(
                    {
                        "secret": {
                            "wrong_format": {"message": "expected a secret, or true; DELETE ends signing"}
                        }
                    }
                )
            overlap = (
                {"secret_overlap_seconds": given["overlap_seconds"]} if "overlap_seconds" in given else {}
            )
            hook = await self.hooks.rotate_secret(
                await self._current(exchange, account_id, hook_id), {"secret": given["secret"], **overlap}
            )
            return Response(
                {"id": hook_id, "signed": True, "secret": hook.secrets[0].value}, 201, hook.revision
            )

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def end_signing(self, request: KleinRequest, account_id: str, hook_id: str) -> bytes:
        """DELETE: no signatures any more."""

        async def handler(exchange: RequestContext) -> Response:
            hook = await self.hooks.rotate_secret(
                await self._current(exchange, account_id, hook_id), {"secret": None}
            )
            return Response({"id": hook_id}, revision=hook.revision)

        return await for_account(request, self.directory, self.node, account_id, handler)

    async def _current(self, exchange: RequestContext, account_id: str, hook_id: str) -> StoredHook:
        hook = await self.hooks.get(account_id, hook_id)
        if hook is None:
            raise bad_identifier(hook_id)
        exchange.check_preconditions(hook.revision)
        return hook

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        app.route("/v2/accounts/<account_id>/webhooks", methods=["PATCH"])(self.re_enable)
        app.route("/v2/accounts/<account_id>/descendants/webhooks", methods=["PATCH"])(
            self.re_enable_descendants
        )
        app.route("/v2/accounts/<account_id>/webhooks/<hook_id>/test", methods=["POST"])(self.test)
        app.route("/v2/accounts/<account_id>/webhooks/<hook_id>/secret", methods=["POST"])(self.rotate_secret)
        app.route("/v2/accounts/<account_id>/webhooks/<hook_id>/secret", methods=["DELETE"])(self.end_signing)
