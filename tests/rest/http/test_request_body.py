from __future__ import annotations

from io import BytesIO

import pytest
import pytest_twisted

from kazoo_bridge.rest.http.errors import ApiError
from kazoo_bridge.rest.http.request_body import (
    ANONYMOUS,
    AUTHENTICATED,
    MAX_ANONYMOUS_BODY_BYTES,
    MAX_BODY_BYTES,
    MAX_DEPTH,
    may_carry_method,
    parse_body,
    parse_method,
)
from tests.rest.harness import RestHarness, hooks_path


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        (b"{", 400, "parse error"),
        (b"[]", 400, "parse error"),
        (b'{"data": 3}', 400, "parse error"),
        (b"", 400, "parse error"),
        (b'"' + b"x" * 1_100_000 + b'"', 413, "too_large"),
        (b"[" * 2000, 400, "parse error"),
        (b"[" * 100_000, 400, "validation error"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad_bodies(rest: RestHarness, raw: bytes, code: int, message: str) -> None:
    answered = await rest("PUT", hooks_path(), raw=raw)
    assert answered.code == code
    assert answered.json_body["message"].startswith(message)
    assert answered.json_body["error"] == str(code)


@pytest.mark.parametrize("content", [None, BytesIO(), BytesIO(b" \r\n")])
def test_no_body_is_an_empty_object(content: BytesIO | None) -> None:
    assert parse_body(content) == {}


def test_a_body_is_read_from_its_beginning() -> None:
    content = BytesIO(b'{"data": 1}')
    content.read()
    assert parse_body(content) == {"data": 1}


def test_size_and_depth_are_limited() -> None:
    largest = b'"' + b"x" * (MAX_BODY_BYTES - 8) + b'"'
    assert len(parse_body(BytesIO(b'{"a":' + largest + b"}"))["a"]) == MAX_BODY_BYTES - 8
    with pytest.raises(ApiError) as refused:
        parse_body(BytesIO(b'{"a": ' + largest + b"}"))
    assert refused.value.status == 413
    deepest = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert parse_body(BytesIO(deepest))
    with pytest.raises(ApiError, match="400"):
        parse_body(BytesIO(b'{"a":' + deepest + b"}"))


def test_a_carried_method_is_upper_case() -> None:
    assert parse_method("patch") == "PATCH"
    for carried in ("brew", "HEAD", "", 3, None, ["PUT"]):
        with pytest.raises(ApiError) as refused:
            parse_method(carried)
        assert refused.value.status == 405
        assert refused.value.headers["Allow"] == "DELETE, GET, PATCH, POST, PUT"


def test_strangers_may_send_less() -> None:
    content = b'{"a": "' + b"x" * MAX_ANONYMOUS_BODY_BYTES + b'"}'
    assert parse_body(BytesIO(content), AUTHENTICATED)
    with pytest.raises(ApiError) as refused:
        parse_body(BytesIO(content), ANONYMOUS)
    assert refused.value.status == 413
    many = b'{"a": [' + b"1," * 2000 + b"1]}"
    assert parse_body(BytesIO(many), AUTHENTICATED)
    with pytest.raises(ApiError) as refused:
        parse_body(BytesIO(many), ANONYMOUS)
    assert refused.value.data["body"]["maxItems"]["target"] == ANONYMOUS.max_values


def test_a_body_is_searched_for_a_method_without_parsing_it() -> None:
    assert may_carry_method(BytesIO(b'{"verb": "put"'))
    assert not may_carry_method(BytesIO(b'{"data": {"http_verb": "put"}}'))
    assert not may_carry_method(None)
