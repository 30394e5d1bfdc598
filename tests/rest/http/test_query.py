from __future__ import annotations

import pytest
import pytest_twisted

from kazoo_bridge.rest.http.errors import ApiError
from kazoo_bridge.rest.http.query import MAX_PARAMETERS, Query
from tests.rest.harness import RestHarness, hooks_path


@pytest.mark.parametrize("raw", [b"a=%", b"a=%z1", b"a=%C5", b"a=\xff", b"a=1&" * (MAX_PARAMETERS + 1)])
def test_queries_that_cannot_be_read(raw: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        Query.parse(b"/v2/x?" + raw)
    assert caught.value.status == 400
    assert caught.value.word.startswith("parse error")


def test_the_first_of_repeated_parameters() -> None:
    query = Query.parse(b"/v2/x?a=1&b=&a=2")
    assert (query.first("a"), query.first("b"), query.first("c")) == ("1", "", None)


@pytest.mark.parametrize("name", ["page_size", "created_from", "created_to", "modified_from", "modified_to"])
@pytest.mark.parametrize("text", ["2.0", "1e400", "nan", "true", "9" * 19, "9" * 5000, "٣", "", "1_0"])
@pytest_twisted.ensureDeferred
async def test_parameters_are_whole_numbers(rest: RestHarness, name: str, text: str) -> None:
    answered = await rest("GET", f"{hooks_path()}?{name}={text}")
    assert (answered.code, list(answered.json_body["data"])) == (400, [name])
    assert list(answered.json_body["data"][name]) == ["type"]
