from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.websockets.client_messages import (
    MAX_METADATA_BYTES,
    MAX_METADATA_DEPTH,
    MAX_NAME_LENGTH,
    MAX_REQUEST_ID_LENGTH,
    BadMessage,
    decode,
    parse,
    parse_bindings,
    peek_request_id,
    to_request_id,
)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


class TestDecode:
    def test_an_object(self) -> None:
        assert decode(b'{"action": "ping"}') == {"action": "ping"}

    @pytest.mark.parametrize(
        ("payload", "text"),
        [
            (b"no json", "the message is not JSON: "),
            (b"", "the message is not JSON: "),
            (b"\xff", "the message is not JSON: "),
            (b'{"x": "\\ud800"}', "the message is not JSON: "),
            (b'{"x": %s}' % nested(2000), "the message is not JSON: "),
            (b"[1, 2]", "the message must be a JSON object"),
            (b"5", "the message must be a JSON object"),
        ],
    )
    def test_anything_else_is_refused(self, payload: bytes, text: str) -> None:
        with pytest.raises(BadMessage, match=text):
            decode(payload)


class TestRequestId:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("r1", "r1"),
            (17, "17"),
            (1.5, "1.5"),
            ("x" * MAX_REQUEST_ID_LENGTH, "x" * MAX_REQUEST_ID_LENGTH),
        ],
    )
    def test_it_comes_back_as_text(self, value: object, text: str) -> None:
        assert to_request_id(value) == text

    @pytest.mark.parametrize("value", [None, True, "", "a\nb", "x" * (MAX_REQUEST_ID_LENGTH + 1), {"a": 1}])
    def test_a_random_one_replaces_anything_else(self, value: object) -> None:
        one, two = to_request_id(value), to_request_id(value)
        assert len(one) == len(two) == 32
        assert one != two

    def test_it_is_found_in_a_message_that_is_not_parsed(self) -> None:
        assert peek_request_id(b'{"request_id": "r1", "action": 5}') == "r1"
        assert len(peek_request_id(b"no json")) == 32


class TestParse:
    def test_nested_data(self) -> None:
        value = {
            "action": "subscribe",
            "request_id": 5,
            "auth_token": "t",
            "data": {"account_id": "a", "name": "desk", "metadata": [1]},
        }
        message = parse(value)
        assert (message.action, message.request_id, message.token) == ("subscribe", "5", "t")
        assert message.data == value["data"]
        assert (message.name, message.metadata) == ("desk", [1])

    def test_flat_data(self) -> None:
        message = parse(
            {"action": "subscribe", "account_id": "a", "bindings": ["b"], "other": 1, "name": "n"}
        )
        assert message.data == {"account_id": "a", "bindings": ["b"]}
        assert (message.token, message.name, message.metadata) == (None, "n", None)

    def test_the_outer_name_overrides_the_inner(self) -> None:
        assert parse({"action": "ping", "name": "outer", "data": {"name": "inner"}}).name == "outer"

    def test_the_token_is_not_logged(self) -> None:
        assert "hunter2" not in repr(parse({"action": "ping", "auth_token": "hunter2"}))

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ({}, "missing required keys : action"),
            ({"action": 5}, "missing required keys : action"),
            ({"action": ""}, "missing required keys : action"),
            ({"action": "ping", "data": "x"}, "data must be a JSON object"),
            ({"action": "ping", "data": []}, "data must be a JSON object"),
            ({"action": "ping", "name": 7}, "name must be a text of at most 256 characters"),
            ({"action": "ping", "name": "x" * (MAX_NAME_LENGTH + 1)}, "name must be a text"),
            (
                {"action": "ping", "metadata": "x" * MAX_METADATA_BYTES},
                "metadata must have at most 4096 bytes",
            ),
        ],
    )
    def test_what_is_refused(self, value: dict[str, Any], text: str) -> None:
        with pytest.raises(BadMessage, match=text):
            parse(value)

    def test_the_largest_name_and_metadata(self) -> None:
        metadata = "x" * (MAX_METADATA_BYTES - 2)
        message = parse({"action": "ping", "name": "x" * MAX_NAME_LENGTH, "metadata": metadata})
        assert (message.name, message.metadata) == ("x" * MAX_NAME_LENGTH, metadata)

    def test_the_depth_of_metadata_is_limited(self) -> None:
        deepest = decode(b'{"action": "ping", "metadata": %s}' % nested(MAX_METADATA_DEPTH))
        assert parse(deepest).metadata == deepest["metadata"]
        for levels in (MAX_METADATA_DEPTH + 1, 900):
            with pytest.raises(BadMessage, match="and at most 16 levels"):
                parse(decode(b'{"action": "ping", "metadata": %s}' % nested(levels)))


class TestParseBindings:
    @pytest.mark.parametrize(
        ("data", "bindings"),
        [
            ({}, []),
            ({"binding": "a"}, ["a"]),
            ({"bindings": ["a", "b", "a"]}, ["a", "b"]),
            ({"binding": "a", "bindings": ["b"]}, ["a"]),
            ({"bindings": []}, []),
        ],
    )
    def test_one_or_several(self, data: dict[str, Any], bindings: list[str]) -> None:
        assert parse_bindings(data) == bindings

    @pytest.mark.parametrize(
        "data",
        [{"binding": 5}, {"binding": ""}, {"bindings": "a"}, {"bindings": ["a", 5]}, {"bindings": None}],
    )
    def test_anything_else_is_refused(self, data: dict[str, Any]) -> None:
        with pytest.raises(BadMessage, match="binding must be a text, bindings a list of texts"):
            parse_bindings(data)
