"""Plans the requests of a hook: what is equal for all its events is computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from attrs import define, evolve, field, frozen

from kazoo_bridge.webhooks.egress.destination import Origin
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.form_encoding import encode_form
from kazoo_bridge.webhooks.http.http_request import (
    HookRequest,
    build_payload,
    build_request,
    plain_request,
    query_separator,
)
from kazoo_bridge.webhooks.http.payload_encoding import json_encode
from kazoo_bridge.webhooks.http.signing import sign, signature_headers
from kazoo_bridge.webhooks.http.wire_request import WireRequest, wire_request

#: Plans that are kept, of one to two kilobytes each.
MAX_PLANS = 20_000

#: Encodes a payload within a number of bytes, as body or query.
_Encoder = Callable[[Mapping[str, Any], int], bytes]

#: Headers that have another value in each request. No hook's own header should have such a name.
_OWN_VALUES = frozenset({"content-length", "webhook-id", "webhook-timestamp", "webhook-signature"})


def sign_request(hook: Hook, request: HookRequest, webhook_id: str, now: float) -> HookRequest:
    """Return `request` with ``webhook-id`` and, if the hook has secrets, its signature.

    `now` is in Unix seconds.
    """
    # Receivers recognise repetitions by the id, so an unsigned request has it too.
    headers = {**request.headers, "webhook-id": webhook_id}
    if hook.signing_keys:
        headers |= signature_headers(hook.signing_keys, webhook_id, now, request.body)
    return evolve(request, headers=headers)


@define(eq=False)
class RequestPlan:
    """Makes the requests of one hook, as it is at one revision."""

    hook: Hook
    _template: _Template | None
    _persistent: bool

    @classmethod
    def from_hook(cls, hook: Hook, *, persistent: bool = True) -> RequestPlan:
        """Plan the requests of `hook`; `persistent` is as for `wire_request`."""
        return cls(hook, _Template.from_hook(hook, persistent=persistent), persistent)

    def request(
        self, payload: Mapping[str, Any], cluster_id: str, webhook_id: str, now: float, max_bytes: int
    ) -> WireRequest:
        """Return the signed request for an event's `payload`.

        It is the request that `build_request` and `sign_request` describe, encoded by `wire_request`; the
        parameters are those of these functions. Raises what they raise.
        """
        hook, template = self.hook, self._template
        if template is None or not (webhook_id.isascii() and webhook_id.isprintable()):
            request = build_request(hook, payload, cluster_id, max_bytes)
            return wire_request(sign_request(hook, request, webhook_id, now), persistent=self._persistent)
        if hook.custom_data or cluster_id or type(payload) is not dict:
            payload = build_payload(hook, payload, cluster_id)
        return template.request(template.encode(payload, max_bytes), webhook_id, now)


@frozen(eq=False)
class _Template:
    """The parts of a hook's requests between which each event's own are put.

    `before` ends where the query begins, or the value of ``Content-Length``; `after` follows that, and ends
    where the value of ``webhook-id`` begins. `separator` stands between URI and query; None if the payload is
    sent as the body. `plain` is a request without a payload.
    """

    _hook: Hook
    _plain: HookRequest
    _origin: Origin
    _before: bytes = field(repr=False)
    _after: bytes = field(repr=False)
    _separator: bytes | None
    encode: _Encoder

    @classmethod
    def from_hook(cls, hook: Hook, *, persistent: bool) -> _Template | None:
        """Take a request apart; None if the requests of `hook` can only be built one by one."""
        if not _OWN_VALUES.isdisjoint(map(str.lower, hook.headers)):
            return None
        plain = plain_request(hook)
        try:
            wire = wire_request(plain, persistent=persistent)
        except ValueError:
            return None  # it is raised again for each request
        head = wire.data.removesuffix(b"\r\n") + b"Webhook-Id: "
        if hook.verb == "get":
            before, end, after = head.partition(b" HTTP/1.1\r\n")
            separator, encode = query_separator(plain.url).encode("ascii"), _encode_query
        else:
            before, _, after = head.partition(b"\r\nContent-Length: 0\r\n")
            before, end = before + b"\r\nContent-Length: ", b"\r\n"
            separator, encode = None, json_encode if hook.format == "json" else encode_form
        return cls(hook, plain, wire.origin, before, end + after, separator, encode)

    def request(self, encoded: bytes, webhook_id: str, now: float) -> WireRequest:
        """Return the request with an encoded payload; `now` is in Unix seconds."""
        if self._separator is None:
            body, variable = encoded, b"%d" % len(encoded)
        else:
            body, variable = b"", encoded and self._separator + encoded
        keys = self._hook.signing_keys
        signed = sign(keys, webhook_id, now, body) if keys else None
        if signed is None:
            data = b"%b%b%b%b\r\n\r\n%b" % (self._before, variable, self._after, webhook_id.encode(), body)
        else:
            own = f"{webhook_id}\r\nWebhook-Timestamp: {signed[0]}\r\nWebhook-Signature: {signed[1]}\r\n\r\n"
            data = b"".join((self._before, variable, self._after, own.encode("ascii"), body))
        plain = self._plain
        return WireRequest(
            self._origin,
            plain.method,
            data,
            plain.timeout,
            plain.success_statuses,
            partial(self._hook_request, encoded, webhook_id, signed),
        )

    def _hook_request(self, encoded: bytes, webhook_id: str, signed: tuple[str, str] | None) -> HookRequest:
        headers = {**self._plain.headers, "webhook-id": webhook_id}
        if signed is not None:
            headers["webhook-timestamp"], headers["webhook-signature"] = signed
        if self._separator is None:
            return evolve(self._plain, headers=headers, body=encoded)
        query = encoded and self._separator + encoded
        return evolve(self._plain, headers=headers, url=self._plain.url + query.decode("ascii"))


def _encode_query(payload: Mapping[str, Any], limit: int) -> bytes:
    return encode_form(payload, limit, in_query=True)


class RequestPlans:
    """The plans of stored hooks, at most `max_plans`; `persistent` is as for `wire_request`."""

    def __init__(self, max_plans: int = MAX_PLANS, *, persistent: bool = True) -> None:
        self._max_plans = max_plans
        self._persistent = persistent
        self._plans: OrderedDict[str, RequestPlan] = OrderedDict()

    def plan_for(self, hook: Hook) -> RequestPlan:
        """Return the plan for the requests of `hook`. That of another revision is replaced.

        Hooks that events bring are planned each time: the next one has another id.
        """
        plan = self._plans.get(hook.id)
        if plan is not None and plan.hook is hook:
            return plan
        plan = RequestPlan.from_hook(hook, persistent=self._persistent)
        if hook.revision:
            self._plans[hook.id] = plan
            if len(self._plans) > self._max_plans:
                self._plans.popitem(last=False)
        return plan
