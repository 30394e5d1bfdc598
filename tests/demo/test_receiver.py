from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlencode

import pytest
from twisted.web.test.requesthelper import DummyRequest

from kazoo_bridge.demo.receiver import WebhookPrinter


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (
            {"hook_event": "channel_create", "caller_id_name": "Žofie", "account_id": "a"},
            "channel_create   caller_id_name=Žofie",
        ),
        ({"event_name": "voicemail_new", "voicemail_length": "7"}, "voicemail_new    voicemail_length=7"),
        ({"action": "doc_edited", "type": "user"}, "doc_edited user"),
        ({"fax_state": "send", "event_name": "status", "status": "ok"}, "fax send         status=ok"),
        ({}, ""),
    ],
)
def test_a_line_is_printed_for_each_webhook(form: dict[str, str], line: str) -> None:
    output = io.StringIO()
    request: Any = DummyRequest([b""])
    request.content = io.BytesIO(urlencode(form).encode())
    assert WebhookPrinter(output).render_POST(request) == b"thank you"
    assert output.getvalue().rstrip() == f"  hook received: {line}".rstrip()
