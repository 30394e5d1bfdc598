from __future__ import annotations

from kazoo_bridge.interfaces import (
    BindingRefused,
    BindingUnavailable,
    HandshakeRejected,
    IEventStream,
    IStreamTransport,
    IWebsockets,
    Principal,
    StreamRequest,
)


def test_a_rejected_handshake_has_a_status_and_a_reason() -> None:
    rejected = HandshakeRejected(429, "too many connections")
    assert (rejected.status, rejected.reason, str(rejected)) == (
        429,
        "too many connections",
        "too many connections",
    )


def test_a_binding_that_is_not_available_is_a_binding_that_is_refused() -> None:
    assert issubclass(BindingUnavailable, BindingRefused)


def test_the_repr_of_a_stream_request_has_neither_token_nor_headers() -> None:
    request = StreamRequest(
        "a", ["call.*.*"], "hunter2", Principal("a"), ("192.0.2.1", 4711), {"cookie": "hunter3"}
    )
    assert "hunter" not in repr(request)
    assert request.last_event_id is None


def test_every_member_is_documented() -> None:
    for interface in (IWebsockets, IEventStream, IStreamTransport):
        assert all(member.__doc__ for _, member in interface.namesAndDescriptions())
