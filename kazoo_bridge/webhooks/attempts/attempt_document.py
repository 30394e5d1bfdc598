"""Attempts in the form of KAZOO's ``webhook_attempt`` documents, bounded in size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.webhooks.attempts.hidden_headers import hide_headers
from kazoo_bridge.webhooks.egress import mask_credentials
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome

#: The longest escape of one character in JSON without other than ASCII characters: a surrogate pair.
_MAX_ESCAPE = 12

#: Characters that are kept of what identifies an event: names and ids are shorter.
_MAX_ID_LENGTH = 255

#: Bytes of JSON around the name and the value of a header: ``"":"",``.
_PAIR_BYTES = 6


@frozen
class AttemptInfo:
    """Which attempt at a delivery it was.

    `retries` is the hook's number of quick retries, `retries_left` how many of them follow a failure of this
    attempt. `test`: a sample. `counts`: whether a failure counts against the hook. `delivery`: kept for a
    replay. `event_account_id`: see `Attempt`. `number` counts the attempts at the delivery from 1, of
    `max_attempts` if none succeeds; 0: it is none of them. `seconds`: how long the attempt took.
    """

    event_id: str
    retries: int
    retries_left: int
    test: bool = False
    counts: bool = True
    delivery: Delivery | None = None
    event_account_id: str | None = None
    number: int = 0
    max_attempts: int = 0
    seconds: float | None = None


@frozen
class AttemptFormat:
    """Makes the documents of attempts.

    Sizes are in bytes of JSON as it is stored, escapes included: a receiver that answers with bytes that
    each become six does not get more stored than another. `body_limit` is the size of each body,
    `head_limit` that of each of the URIs, each set of headers, and the hook's `custom_data`. What was cut is
    named in the document's ``truncated``.
    """

    body_limit: int
    head_limit: int

    def document(
        self, hook: Hook, request: HookRequest, outcome: Outcome, info: AttemptInfo
    ) -> dict[str, Any]:
        """Return the attempt as REST shows it, but for its time."""
        request, outcome = hide_headers(hook, request, outcome)
        document: dict[str, Any] = {
            "hook_id": hook.id,
            "hook_event": hook.event,
            "event_id": info.event_id,
            "method": request.method.lower(),
            "uri": mask_credentials(hook.uri),
            "req_headers": {
                name: value for name, value in _lower(request.headers).items() if name != "webhook-signature"
            },
            "req_body": self._decode(request.body),
            "result": "success" if outcome.success else "failure",
        }
        if hook.custom_data:
            document["custom_data"] = dict(hook.custom_data)
        if request.url != hook.uri:
            document["url"] = mask_credentials(request.url)
        if info.test:
            document["test"] = True
        return self._cut(document | _origin(info) | self._response(outcome) | _retries(outcome, info))

    def _response(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.status is None:
            return {"reason": "kazoo http client error", "client_error": outcome.error}
        response: dict[str, Any] = {
            "resp_status_code": str(outcome.status),
            "resp_headers": _lower(outcome.headers),
            "resp_body": self._decode(outcome.body),
        }
        if not outcome.success:
            response["reason"] = "bad response code"
        if outcome.error:
            response["client_error"] = outcome.error
        return response

    def _decode(self, body: bytes) -> str:
        # One byte more than can be kept, so that `_cut` notices.
        return body[: self.body_limit + 1].decode("utf-8", "replace")

    def _cut(self, document: dict[str, Any]) -> dict[str, Any]:
        truncated = []
        for name in ("req_body", "resp_body", "uri", "url", "client_error"):
            text = document.get(name)
            if text is not None:
                limit = self.body_limit if name.endswith("_body") else self.head_limit
                document[name] = cut_text(text, limit)
                if document[name] != text:
                    truncated.append(name)
        for name in ("req_headers", "resp_headers", "custom_data"):
            pairs = document.get(name)
            if pairs is not None:
                document[name] = _cut_pairs(pairs, self.head_limit)
                if document[name] != pairs:
                    truncated.append(name)
        return document | ({"truncated": truncated} if truncated else {})


def cut_text(text: str, limit: int) -> str:
    """Return the longest beginning of `text` that has at most `limit` bytes in ASCII JSON, quotes apart."""
    if len(text) * _MAX_ESCAPE <= limit:
        return text
    escaped = json.dumps(text[: limit + 1])[1:-1]
    if len(escaped) <= limit and len(text) <= limit:
        return text
    for end in range(limit, max(0, limit - _MAX_ESCAPE), -1):
        try:
            kept: str = json.loads(f'"{escaped[:end]}"')
        except ValueError:
            continue  # within an escape
        if kept and "\ud800" <= kept[-1] <= "\udbff" and not text.startswith(kept):
            continue  # within a surrogate pair
        return kept
    return ""


def _cut_pairs(pairs: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Return the first pairs that together have at most `limit` bytes, the last of them with a shorter value.

    A name that does not fit is left out with its value.
    """
    if _json_size(pairs) <= limit:
        return dict(pairs)
    kept: dict[str, Any] = {}
    for name, value in pairs.items():
        limit -= _json_size(name) - 2 + _PAIR_BYTES
        if limit <= 0:
            break
        size = _json_size(value) - (2 if isinstance(value, str) else 0)
        if size > limit:
            kept[name] = cut_text(value if isinstance(value, str) else json.dumps(value), limit)
            break
        kept[name] = value
        limit -= size
    return kept


def _json_size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _retries(outcome: Outcome, info: AttemptInfo) -> dict[str, Any]:
    if outcome.success or info.test:
        return {}
    return {"retries": info.retries, "retries_left": info.retries_left or "retries exceeded"}


def _origin(info: AttemptInfo) -> dict[str, Any]:
    """Return what the attempt was about, and which one it was; KAZOO's documents do not say so."""
    origin: dict[str, Any] = {}
    if info.delivery is not None:
        origin["event"] = info.delivery.event[:_MAX_ID_LENGTH]
        call_id = info.delivery.payload.get("call_id")
        if isinstance(call_id, str) and call_id:
            origin["call_id"] = call_id[:_MAX_ID_LENGTH]
    if info.number:
        origin |= {"attempt": info.number, "max_attempts": info.max_attempts}
    if info.seconds is not None:
        origin["duration_ms"] = round(max(info.seconds, 0.0) * 1000)
    return origin
