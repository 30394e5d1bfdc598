"""Hides the values of a hook's own headers from the records of attempts."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_headers import MASK
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome

#: Shorter parts of a value are too common to be looked for in a response.
_MIN_SECRET_LENGTH = 6


def hide_headers(hook: Hook, request: HookRequest, outcome: Outcome) -> tuple[HookRequest, Outcome]:
    """Return the request and the outcome with a mask instead of each value of the hook's own headers.

    Receivers that echo requests repeat the values; these, and their last words (a token behind its scheme),
    are masked in the response's headers and body.
    """
    if not hook.headers:
        return request, outcome
    shown = {name: MASK if name in hook.headers else value for name, value in request.headers.items()}
    headers, body = dict(outcome.headers), outcome.body
    for secret in _secrets(hook.headers.values()):
        headers = {name: value.replace(secret, MASK) for name, value in headers.items()}
        body = body.replace(secret.encode("ascii"), MASK.encode("ascii"))
    return evolve(request, headers=shown), evolve(outcome, headers=headers, body=body)


def _secrets(values: Iterable[str]) -> list[str]:
    """Return the values and their last words, if they are long enough, the longest first."""
    found = {part for value in values for part in (value, value.rpartition(" ")[2])}
    return sorted((part for part in found if len(part) >= _MIN_SECRET_LENGTH), key=len, reverse=True)
