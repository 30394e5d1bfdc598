from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.interfaces import Secret
from kazoo_bridge.webhooks.egress.destination import BadDestination, Origin
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.signing_keys import ED25519, generate_secret
from kazoo_bridge.webhooks.http import request_plan
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.payload_encoding import DEFAULT_MAX_BYTES, PayloadTooLarge
from kazoo_bridge.webhooks.http.request_plan import RequestPlan, RequestPlans, sign_request
from kazoo_bridge.webhooks.http.wire_request import WireRequest, wire_request
from tests.webhooks.hook_factory import make_hook

NOW = 1_700_000_000.5
HMAC_SECRET, OTHER_SECRET, KEY_PAIR = generate_secret(), generate_secret(), generate_secret(ED25519)

_uris = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["", "user:p%40ss@", "user@"]),
    st.sampled_from(["h", "Hook.example.:8080", "[::1]", "[2001:DB8::1]:444", "192.0.2.1", "h:443"]),
    st.sampled_from(["", "/", "/p/%zz/{a}|b", "/HTTP/1.1"]),
    st.sampled_from(["", "?", "?a=b", "?a[x]=<1>&", "#part?", "?q#part", "?a?b?"]),
)
_texts = st.text(max_size=6)
_headers = st.dictionaries(
    st.sampled_from(["x-key", "user-agent", "authorization", "x-hook-id", "content-type", "host"]),
    st.sampled_from(["value", "two  words", "Basic abc", "0"]),
    max_size=3,
)
#: What no rules have accepted, but a table could contain.
_odd_headers = st.dictionaries(
    st.sampled_from(
        ["webhook-id", "webhook-signature", "Webhook-Timestamp", "content-length", "connection", "bad name"]
    ),
    st.sampled_from(["1", "x\r\nInjected: 1"]),
    max_size=1,
)
_secrets = st.lists(
    st.sampled_from(
        [Secret(HMAC_SECRET), Secret(OTHER_SECRET, NOW + 1), Secret(OTHER_SECRET, NOW - 1), Secret(KEY_PAIR)]
    ),
    max_size=2,
).map(tuple)
_payloads = st.dictionaries(
    _texts | st.just("cluster_id"),
    st.none() | st.booleans() | st.integers() | st.floats() | _texts | st.dictionaries(_texts, _texts),
    max_size=5,
)


@st.composite
def hooks(draw: st.DrawFn) -> Hook:
    document: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {
                "http_verb": st.sampled_from(["get", "post", "put"]),
                "format": st.sampled_from(["form-data", "json"]),
                "custom_data": st.just({})
                | st.dictionaries(st.sampled_from(["from", "extra"]), st.just("1&")),
            },
            optional={"timeout_ms": st.just(1500), "success_codes": st.just(["204"])},
        )
    )
    hook = make_hook(uri="http://h/", **document)
    headers = draw(_headers) | draw(st.just({}) | _odd_headers)
    return evolve(hook, uri=draw(_uris), headers=headers, secrets=draw(_secrets))


def content(wire: WireRequest) -> object:
    """Return everything of a request, its headers in no order."""
    head, _, body = wire.data.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    return (
        (line, sorted(headers), body),
        (wire.origin, wire.method, wire.timeout, wire.success_statuses),
        wire.source(),
    )


def result(make: Any) -> object:
    try:
        return content(make())
    except Exception as error:
        return type(error), str(error)


@given(
    hooks(),
    st.lists(_payloads, min_size=1, max_size=2),
    st.sampled_from(["", "cluster"]),
    st.sampled_from(["msg_0123456789abcdef", "msg_0.1", "m\r\nInjected: 1", "žü", ""]),
    st.sampled_from([DEFAULT_MAX_BYTES, 20]),
    st.booleans(),
)
def test_a_plan_makes_the_requests_that_are_built_one_by_one(
    hook: Hook,
    payloads: list[dict[str, Any]],
    cluster_id: str,
    webhook_id: str,
    max_bytes: int,
    persistent: bool,
) -> None:
    plan = RequestPlan.from_hook(hook, persistent=persistent)
    for payload in payloads:

        def one_by_one(payload: dict[str, Any] = payload) -> WireRequest:
            request = build_request(hook, payload, cluster_id, max_bytes)
            return wire_request(sign_request(hook, request, webhook_id, NOW), persistent=persistent)

        planned = result(lambda: plan.request(payload, cluster_id, webhook_id, NOW, max_bytes))  # noqa: B023
        assert planned == result(one_by_one)


@pytest.fixture
def without_building_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError("built one by one")

    monkeypatch.setattr(request_plan, "build_request", refuse)


@pytest.mark.usefixtures("without_building_one_by_one")
@pytest.mark.parametrize("form", [{"http_verb": "get"}, {"http_verb": "put"}, {"format": "json"}])
@pytest.mark.parametrize("more", [{}, {"headers": {"x-key": "1"}, "custom_data": {"a": "b"}}])
def test_usual_hooks_are_planned(form: dict[str, Any], more: dict[str, Any]) -> None:
    hook = evolve(make_hook(**form, **more), secrets=(Secret(HMAC_SECRET),))
    wire = RequestPlan.from_hook(hook).request({"call_id": "c"}, "cluster", "msg_1", NOW, 1000)
    assert wire.origin == Origin("http", "receiver.example", 80)
    assert b"Webhook-Signature: v1," in wire.data


def test_a_body_that_is_too_large() -> None:
    plan = RequestPlan.from_hook(make_hook())
    with pytest.raises(PayloadTooLarge):
        plan.request({"text": "x" * 100}, "", "msg_1", NOW, 99)


def test_what_cannot_be_planned_fails_when_it_is_requested() -> None:
    plan = RequestPlan.from_hook(evolve(make_hook(), uri="http://h:99999/"))
    with pytest.raises(BadDestination):
        plan.request({}, "", "msg_1", NOW, 99)


def test_no_secret_in_the_repr() -> None:
    hook = make_hook(uri="http://u:hunter2@h/", headers={"x-key": "hunter2"})
    plan = RequestPlan.from_hook(hook)
    wire = plan.request({}, "", "msg_1", NOW, 99)
    assert "hunter2" not in repr([plan, wire])
    assert "aHVudGVyMg" not in repr([plan, wire])


def test_a_plan_is_kept_until_the_hook_is_replaced() -> None:
    plans, hook = RequestPlans(), make_hook()
    plan = plans.plan_for(hook)
    assert plan.hook is hook
    assert plans.plan_for(hook) is plan
    changed = make_hook(uri="http://other.example/")
    assert plans.plan_for(changed).hook is changed
    assert plans.plan_for(changed) is plans.plan_for(changed)


def test_the_number_of_plans_is_bounded() -> None:
    plans = RequestPlans(2)
    hooks = [make_hook(f"h{number}") for number in range(3)]
    first, second, third = map(plans.plan_for, hooks)
    assert [plans.plan_for(hook) for hook in hooks[1:]] == [second, third]
    assert plans.plan_for(hooks[0]) is not first


def test_the_plan_of_an_inline_hook_is_not_kept() -> None:
    plans = RequestPlans()
    hook = Hook.from_event("a" * 32, "channel_create", {"uri": "http://h/"})
    assert plans.plan_for(hook) is not plans.plan_for(hook)
