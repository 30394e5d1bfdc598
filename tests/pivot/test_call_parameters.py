from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.interfaces import KazooRequest, PivotRefused
from kazoo_bridge.pivot.call_parameters import MAX_ITEMS, MAX_PARAMETERS, MAX_VALUE, CallParameters


def parse(body: bytes = b"", *query: tuple[str, str]) -> CallParameters:
    return CallParameters.parse(KazooRequest(query, body, "192.0.2.1"))


def test_query_form_and_json_mean_the_same() -> None:
    expected = {"Call-ID": "c1", "Custom-Application-Vars": {"a": "1"}, "User-ID": ["u1", "u2"]}
    pairs = (("Call-ID", "c1"), ("Custom-Application-Vars[a]", "1"), ("User-ID[]", "u1"), ("User-ID[]", "u2"))
    form = b"Call-ID=c1&Custom-Application-Vars%5Ba%5D=1&User-ID[]=u1&User-ID[]=u2"
    for parsed in (parse(b"", *pairs), parse(form), parse(json.dumps(expected).encode())):
        assert (parsed.values, parsed.wants_twiml, parsed.call_id) == (expected, False, "c1")


def test_the_names_of_twiml() -> None:
    parsed = parse(b"CallSid=c1&AccountSid=a&CallerName=Ingrid&From=x")
    assert parsed.wants_twiml
    assert parsed.values == {"Call-ID": "c1", "Account-ID": "a", "Caller-ID-Name": "Ingrid", "From": "x"}


def test_other_values_of_json_become_text() -> None:
    parsed = parse(b'{"a": 1, "b": true, "c": null, "d": {"e": [1]}, "f": [2]}')
    assert parsed.values == {"a": "1", "b": "true", "d": {"e": "[1]"}, "f": ["2"]}


def test_the_envelope_of_messages_cannot_be_given() -> None:
    assert parse(b"Event-Name=x&msg-id=y&Server-ID=z&To=1").values == {"To": "1"}
    assert parse().call_id is None
    assert parse(b"Call-ID[a]=1").call_id is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a": ', "not JSON"),
        (b"{]", "not JSON"),
        (b"a=\xff", "not UTF-8"),
        (b"&".join(b"x%d=1" % number for number in range(1001)), "no form"),
        (b"&".join(b"x%d=1" % number for number in range(MAX_PARAMETERS + 1)), "parameters"),
        (b"&".join(b"x[k%d]=1" % number for number in range(MAX_ITEMS + 1)), "items"),
        (b"&".join([b"x[]=1"] * (MAX_ITEMS + 1)), "items"),
        (b"a=" + b"1" * (MAX_VALUE + 1), "characters"),
        (b"a" * 65 + b"=1", "characters"),
    ],
)
def test_what_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(PivotRefused, match=reason) as refused:
        parse(body)
    assert refused.value.status == 400


def test_items_that_do_not_fit_are_ignored() -> None:
    assert parse(b"a=1&a[b]=2").values == {"a": "1"}
    assert parse(b"a[]=1&a[b]=2").values == {"a": ["1", "2"]}


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with suppress(PivotRefused):
        parse(body)
