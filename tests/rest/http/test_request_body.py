from __future__ import annotations

import pytest
import pytest_twisted

from tests.rest.harness import RestHarness, hooks_path


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        (b"{", 400, "parse error"),
        (b"[]", 400, "parse error"),
        (b'{"data": 3}', 400, "parse error"),
        (b"", 400, "parse error"),
        (b'"' + b"x" * 1_100_000 + b'"', 413, "too_large"),
        (b"[" * 100_000, 400, "parse error"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad_bodies(rest: RestHarness, raw: bytes, code: int, message: str) -> None:
    answered = await rest("PUT", hooks_path(), raw=raw)
    assert answered.code == code
    assert answered.json_body["message"].startswith(message)
    assert answered.json_body["error"] == str(code)
