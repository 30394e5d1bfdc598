"""A response of the same bytes as the latest one of its connection is not parsed again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.webhooks.egress import receiver_connection
from tests.webhooks.egress.test_receiver_connection import (
    CHUNKED,
    EMPTY,
    LONG,
    OK,
    REQUEST,
    Connection,
    answered,
)

BODY = OK + b"X: y\r\nContent-Length: 2\r\n\r\nok"


class CountingParser:
    """A parser that counts what it is fed."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self.fed = 0

    def feed_data(self, data: bytes) -> None:
        self.fed += 1
        self._parser.feed_data(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def counting(connection: Connection) -> CountingParser:
    parser = connection.client._parser = CountingParser(connection.client._parser)
    return parser


def state(response: Any) -> tuple[Any, ...]:
    return response.status, response.version, response.phrase, response.headers, response.body, response.error


@pytest.mark.parametrize("response", [EMPTY, BODY, CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"\r\n" + EMPTY])
def test_the_same_response_is_parsed_once(response: bytes) -> None:
    connection = Connection()
    parser = counting(connection)
    for number in range(1, 4):
        connection.request()
        connection.receive(response)
        assert (len(connection.results), connection.idle, parser.fed) == (number, number, 1)
        assert connection.client.response_began
        assert not connection.client.is_busy
    assert state(connection.results[0]) == state(connection.results[1]) == state(connection.results[2])
    assert connection.closing == 0


def test_other_bytes_are_parsed_and_known_then() -> None:
    connection = Connection()
    parser = counting(connection)
    other = BODY.replace(b"ok", b"no")
    for data in (BODY, other, other, BODY, EMPTY, BODY, BODY):
        connection.request()
        connection.receive(data)
    assert [one.body for one in connection.results] == [b"ok", b"no", b"no", b"ok", b"", b"ok", b"ok"]
    assert parser.fed == 5
    assert (connection.idle, connection.closing) == (7, 0)


def test_a_response_that_begins_like_the_known_one_is_parsed() -> None:
    connection = answered(EMPTY)
    connection.request()
    connection.receive(EMPTY[:20])
    assert len(connection.results) == 1
    connection.receive(EMPTY[20:-2] + b"X: z\r\n\r\n")
    assert connection.results[1].headers == [(b"Content-Length", b"0"), (b"X", b"z")]
    assert connection.idle == 2


@pytest.mark.parametrize("more", [b"\r\n", b"x", EMPTY])
def test_bytes_after_a_known_response_close_the_connection(more: bytes) -> None:
    connection = answered(EMPTY)
    connection.request()
    connection.receive(EMPTY + more)
    assert [one.status for one in connection.results] == [200, 200]
    assert connection.idle == 1
    assert connection.transport.disconnecting


@pytest.mark.parametrize("more", [b"\r\n", b"x", EMPTY])
def test_bytes_that_come_after_a_known_response_close_the_connection(more: bytes) -> None:
    connection = answered(EMPTY)
    connection.request()
    connection.receive(EMPTY, more)
    assert len(connection.results) == 2
    assert connection.transport.aborted


def test_each_connection_knows_its_own_responses() -> None:
    known, other = answered(BODY), answered(EMPTY)
    parser = counting(other)
    other.request()
    other.receive(BODY)
    assert parser.fed == 1
    assert state(other.results[1]) == state(known.results[0])
    assert other.results[1] is not known.results[0]


@pytest.mark.parametrize(
    "pieces",
    [
        (EMPTY[:20], EMPTY[20:]),
        (OK + b"X: " + b"x" * receiver_connection._MAX_KNOWN_BYTES + b"\r\nContent-Length: 0\r\n\r\n",),
        (OK + b"Content-Length: 1024\r\n\r\n" + b"x" * 1024,),
    ],
    ids=["in pieces", "long head", "long body"],
)
def test_long_responses_and_pieces_of_one_are_not_known(pieces: tuple[bytes, ...]) -> None:
    connection = answered(*pieces)
    assert (connection.idle, connection.client._known_data) == (1, None)
    parser = counting(connection)
    connection.request()
    connection.receive(*pieces)
    assert parser.fed == len(pieces)
    assert state(connection.results[0]) == state(connection.results[1])


def test_the_longest_response_that_is_known() -> None:
    longest = receiver_connection._MAX_KNOWN_BYTES
    padding = longest - len(OK + b"X: \r\nContent-Length: 0\r\n\r\n")
    connection = answered(OK + b"X: " + b"x" * padding + b"\r\nContent-Length: 0\r\n\r\n")
    assert len(connection.client._known_data or b"") == longest


def test_the_response_to_head_is_not_known() -> None:
    connection = answered(b"HTTP/1.1 204 No Content\r\n\r\n", head_only=True)
    assert (connection.idle, connection.client._known_data) == (1, None)


def test_the_response_to_head_is_not_the_known_one() -> None:
    connection = answered(BODY)
    parser = counting(connection)
    connection.request(head_only=True)
    connection.receive(BODY)
    assert parser.fed == 1
    assert connection.results[1] is not connection.results[0]


def test_an_early_answer_is_not_the_known_one() -> None:
    connection = answered(EMPTY)
    connection.request(LONG)
    connection.receive(EMPTY)
    assert len(connection.results) == 1
    while connection.transport.producer is not None:
        connection.transport.more()
    assert [one.status for one in connection.results] == [200, 200]
    assert connection.idle == 1
    assert connection.transport.disconnecting


@pytest.mark.parametrize(
    "response",
    [
        OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n",
        OK + b"\r\n",
        EMPTY + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        OK + b"Content-Length: 3\r\n\r\nok",
        b"nonsense\r\n",
    ],
)
def test_only_whole_responses_that_leave_the_connection_usable_are_known(response: bytes) -> None:
    connection = answered(response)
    assert (connection.idle, connection.client._known_data) == (0, None)


def test_no_bytes_are_no_known_response() -> None:
    connection = Connection()
    connection.request()
    connection.receive(b"", EMPTY)
    assert (connection.idle, len(connection.results)) == (1, 1)


def test_a_connection_that_is_lost_after_a_known_response_reports_nothing_more() -> None:
    connection = answered(EMPTY)
    connection.request()
    connection.receive(EMPTY)
    connection.lose()
    assert (len(connection.results), connection.lost) == (2, 1)


def test_the_next_request_may_be_sent_while_the_known_response_is_handled() -> None:
    connection = answered(EMPTY)
    received = connection.response_received

    def response_received(response: Any) -> None:
        received(response)
        if len(connection.results) < 4:
            connection.request(REQUEST)

    connection.response_received = response_received  # type: ignore[method-assign]
    connection.request(REQUEST)
    for number in range(2, 5):
        connection.receive(EMPTY)
        assert (len(connection.results), connection.idle) == (number, number)
    assert not connection.client.is_busy


_RESPONSES = st.sampled_from(
    [
        EMPTY,
        BODY,
        BODY.replace(b"ok", b"no"),
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + EMPTY,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n!",
    ]
)


@given(st.lists(st.tuples(_RESPONSES, st.integers(0, 80), st.booleans()), min_size=1, max_size=8))
def test_any_sequence_of_responses_is_read_like_on_new_connections(
    sequence: list[tuple[bytes, int, bool]],
) -> None:
    connection = Connection()
    for response, cut, is_cut in sequence:
        pieces = (response[:cut], response[cut:]) if is_cut and 0 < cut < len(response) else (response,)
        connection.request()
        connection.receive(*pieces)
        assert state(connection.results[-1]) == state(answered(response).results[0])
    assert (connection.idle, connection.closing) == (len(sequence), 0)
