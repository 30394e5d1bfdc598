"""A customer's web server, as small as it can be: prints each hook that arrives and answers 200."""

from __future__ import annotations

from typing import TextIO
from urllib.parse import parse_qsl

from twisted.web.resource import Resource
from twisted.web.server import Request

_SHOWN = ("caller_id_name", "caller_id_number", "callee_id_name", "callee_id_number", "hangup_cause", "billing_seconds")


class Receiver(Resource):
    """Takes form-encoded hooks on every path."""

    isLeaf = True

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out

    def render_POST(self, request: Request) -> bytes:
        """One hook."""
        told = dict(parse_qsl(request.content.read().decode()))  # type: ignore[union-attr]
        details = "  ".join(f"{name}={told[name]}" for name in _SHOWN if name in told)
        self._out.write(f"  hook received: {told.get('hook_event', '?'):16} {details}\n")
        self._out.flush()
        return b"thank you"
