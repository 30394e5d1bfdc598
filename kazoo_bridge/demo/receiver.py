"""A web server that receives webhooks, prints a line for each, and answers 200."""

from __future__ import annotations

from typing import TextIO
from urllib.parse import parse_qsl

from twisted.web.resource import Resource
from twisted.web.server import Request

_PRINTED_FIELDS = (
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
    """Prints the form-encoded webhooks that it receives, on any path, to `out`."""

    isLeaf = True

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def render_POST(self, request: Request) -> bytes:
        """Print one webhook."""
        # A received request has content.
        form = dict(parse_qsl(request.content.read().decode()))  # type: ignore[union-attr]
        # Only hooks for channels send the name of the hook; others send the name or type of their event.
        event = (
            form.get("hook_event")
            or form.get("event_name")
            or " ".join(form[name] for name in ("action", "type") if name in form)
        )
        if "fax_state" in form:
            event = f"fax {form['fax_state']}"
        details = "  ".join(f"{name}={form[name]}" for name in _PRINTED_FIELDS if name in form)
        self._out.write(f"  hook received: {event:16} {details}\n")
        self._out.flush()
        return b"thank you"
