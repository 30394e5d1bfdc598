from __future__ import annotations

import pytest

from kazoo_bridge.webhooks.egress.receiver_response import (
    RawHeaders,
    end_to_end_headers,
    has_framing,
    has_known_framing,
)


def test_headers_about_the_connection_are_left_out() -> None:
    headers = end_to_end_headers(
        [(b"x-a", b" 1 \t"), (b"Connection", b"x"), (b"X-A", b"2"), (b"content-LENGTH", b"5"), (b"TE", b"")]
    )
    assert list(headers.getAllRawHeaders()) == [(b"X-A", [b"1", b"2"])]


@pytest.mark.parametrize(
    ("headers", "framed", "known"),
    [
        ([], False, True),
        ([(b"X", b"chunked")], False, True),
        ([(b"CONTENT-length", b"5")], True, True),
        ([(b"Transfer-Encoding", b" Chunked ")], True, True),
        ([(b"Transfer-Encoding", b"gzip, chunked")], True, True),
        ([(b"transfer-encoding", b"gzip"), (b"Transfer-Encoding", b"chunked")], True, True),
        ([(b"transfer-encoding", b"chunked"), (b"Transfer-Encoding", b"gzip")], True, False),
        ([(b"Transfer-Encoding", b"chunked, identity")], True, False),
    ],
)
def test_the_framing_of_a_body(headers: RawHeaders, framed: bool, known: bool) -> None:
    assert (has_framing(headers), has_known_framing(headers)) == (framed, known)
