from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import kazoo_bridge
from kazoo_bridge import kazoo

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_normalizing_again_changes_nothing(value: Any) -> None:
    once = kazoo.normalize(value)
    assert kazoo.normalize(once) == once


def test_normalizing_reaches_every_depth_and_leaves_values_alone() -> None:
    body = {
        "Call-ID": "A-B",
        "Nothing": None,
        "CCVs": {"Account-ID": 1, "Gone": None, "L": [{"X-Y": None, "Z-A": False}, None, (0,)]},
    }
    assert kazoo.normalize(body) == {
        "call_id": "A-B",
        "ccvs": {"account_id": 1, "l": [{"z_a": False}, None, [0]]},
    }
    assert body["Nothing"] is None


def test_the_public_form_has_no_optional_envelope() -> None:
    body = {"Event-Name": "X", "Account-ID": "a", "Call-ID": "c", "Custom": {"Node": "kept"}}
    hidden = dict.fromkeys(kazoo.OPTIONAL_ENVELOPE, "secret")
    assert kazoo.public_form({**hidden, **body}) == {
        "event_name": "X",
        "account_id": "a",
        "call_id": "c",
        "custom": {"node": "kept"},
    }


def test_an_envelope_has_the_keys_that_kazoo_requires() -> None:
    assert kazoo.build_envelope("configuration", "doc_edited", message_id="m1") == {
        "App-Name": "kazoo_bridge",
        "App-Version": kazoo_bridge.__version__,
        "Event-Category": "configuration",
        "Event-Name": "doc_edited",
        "Msg-ID": "m1",
    }


def test_every_message_has_an_id_of_its_own() -> None:
    ids = {kazoo.build_envelope("c", "n")["Msg-ID"] for _ in range(100)}
    assert len(ids) == 100
    assert all(len(message_id) == 32 for message_id in ids)


def test_another_application_can_be_named() -> None:
    envelope = kazoo.build_envelope("c", "n", app_name="switchboard", app_version="1")
    assert (envelope["App-Name"], envelope["App-Version"]) == ("switchboard", "1")


def test_a_request_says_where_replies_go() -> None:
    body = {"Event-Category": "call_event", "Event-Name": "query", "App-Name": "own", "Call-ID": "c1"}
    assert kazoo.build_request(body, message_id="m1", server_id="q1") == {
        **body,
        "App-Version": kazoo_bridge.__version__,
        "Msg-ID": "m1",
        "Server-ID": "q1",
    }
    assert "Msg-ID" not in body
