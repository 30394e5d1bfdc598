from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.interfaces import Secret, StoredHook, Suspension
from kazoo_bridge.webhooks.hooks import hook_parser
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_parser import HookParser
from kazoo_bridge.webhooks.hooks.signing_keys import generate_secret
from tests.webhooks.hook_factory import CATALOGUE, stored_hook

SECRETS = (Secret(generate_secret()),)

#: Few values of each key, so that some documents are equal, and some are equal for Python only.
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans() | st.just(1),
        "retries": st.sampled_from([1, 1.0, True, "1", 2**70, None, float("nan"), float("inf")]),
        "rate_limit": st.sampled_from([2, 2.0, "2"]),
        "hook": st.sampled_from(["channel_create", "object", "all", None]),
        "custom_data": st.sampled_from([{}, {"type": "user"}, {"a": "b"}, {"a": "\ud800"}, {"type": None}]),
        "modifiers": st.sampled_from([{}, {"a": ["1"]}, {"a": [1]}, {"a": [True]}, {"a": [float("inf")]}]),
        "disable_reason": st.just("too many failed attempts"),
        "headers": st.just({"x-a": "***"}),
        "timeout_ms": st.sampled_from([500, 700]),
    },
)
STORED = st.builds(
    lambda document, uri, secrets, suspension, headers: evolve(
        stored_hook(),
        document={**stored_hook().document, **document, "uri": uri},
        secrets=secrets,
        suspension=suspension,
        headers=headers,
    ),
    DOCUMENTS,
    st.sampled_from(["http://a/", "http://b/"]),
    st.sampled_from([(), (), SECRETS]),
    st.sampled_from([None, None, Suspension(1.0, 2.0)]),
    st.sampled_from([{}, {"x-a": "1"}, {"x-a": "2"}]),
)


def parsed(parse: Any, stored: StoredHook) -> Any:
    try:
        return repr(hook := parse(stored)), hook.uri, hook.custom_data, hook.secrets, hook.headers
    except (KeyError, TypeError, ValueError) as error:
        return type(error)


@given(st.lists(STORED, max_size=8))
def test_hooks_are_parsed_as_without_models(hooks: list[StoredHook]) -> None:
    parser = HookParser(CATALOGUE)
    for number, stored in enumerate(hooks):
        one = evolve(stored, id=f"h{number}", account_id=f"a{number}", revision=f"{number}-x")
        expected = parsed(lambda stored: Hook.from_document(stored, CATALOGUE), one)
        assert parsed(parser.parse, one) == expected


def test_equal_values_are_shared() -> None:
    parser = HookParser(CATALOGUE)
    document: dict[str, Any] = {"custom_data": {"a": "b"}, "modifiers": {"c": "d"}, "max_age_s": 5}
    first, second = (
        parser.parse(stored_hook(hook_id, name=hook_id, uri=f"http://{hook_id}/", **document))
        for hook_id in ("h1", "h2")
    )
    assert (first.id, first.uri, second.id, second.uri) == ("h1", "http://h1/", "h2", "http://h2/")
    assert first.custom_data is second.custom_data
    assert first.modifiers is second.modifiers
    assert first.options is second.options


def test_values_of_headers_are_not_shared() -> None:
    parser = HookParser(CATALOGUE)
    hooks = [parser.parse(stored_hook(headers={"x-a": value})) for value in ("hunter2", "other")]
    bare = parser.parse(evolve(stored_hook(headers={"x-a": "hunter2"}), headers={}))
    assert [hook.headers for hook in (*hooks, bare)] == [{"x-a": "hunter2"}, {"x-a": "other"}, {}]


@pytest.mark.parametrize("limit", ["MAX_MODELS", "MAX_MODEL_BYTES"])
def test_models_are_bounded(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(hook_parser, limit, 0)
    parser = HookParser(CATALOGUE)
    hooks = [parser.parse(stored_hook(custom_data={"a": "b"})) for _ in range(2)]
    assert hooks[0] == hooks[1]
    assert hooks[0].custom_data is not hooks[1].custom_data
