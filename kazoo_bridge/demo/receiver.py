"""A customer's web server, as small as it can be: prints each hook that arrives and answers 200."""

from __future__ import annotations

from typing import TextIO
from urllib.parse import parse_qsl

from twisted.web.resource import Resource
from twisted.web.server import Request

_SHOWN = (
    "caller_id_name",
    "caller_id_number",
    "callee_id_name",
    "callee_id_number",
    "hangup_cause",
    "billing_seconds",
    "parking_slot",
    "status",
    "voicemail_length",
    "body",
)


class WebhookPrinter(Resource):
    """Takes form-encoded hooks on every path."""

    isLeaf = True

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def render_POST(self, request: Request) -> bytes:
        """One hook."""
        told = dict(parse_qsl(request.content.read().decode()))  # type: ignore[union-attr]
        # Only hooks on channels say which they are; the others tell what has happened in words of their own.
        event = (
            told.get("hook_event")
            or told.get("event_name")
            or " ".join(told[name] for name in ("action", "type") if name in told)
        )
        if "fax_state" in told:
            event = f"fax {told['fax_state']}"
        details = "  ".join(f"{name}={told[name]}" for name in _SHOWN if name in told)
        self._out.write(f"  hook received: {event:16} {details}\n")
        self._out.flush()
        return b"thank you"
