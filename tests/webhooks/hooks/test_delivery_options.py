from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.webhooks.hooks.delivery_options import DeliveryOptions
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from tests.webhooks.hook_factory import RULES, make_hook

GOOD = {"name": "n", "uri": "https://h.example/", "hook": "channel_create"}


def test_without_options_the_configuration_applies() -> None:
    assert make_hook().options == DeliveryOptions()


def test_a_document_with_all_options() -> None:
    hook = make_hook(
        success_codes=["204", "3xx"], timeout_ms="1500", retry_schedule_s=["5", 60.0], max_age_s="30"
    )
    assert hook.options == DeliveryOptions(frozenset({204, *range(300, 400)}), 1.5, (5, 60), 30)


def test_an_empty_schedule_has_no_retries() -> None:
    assert make_hook(retry_schedule_s=[]).options.retry_delays == ()


@pytest.mark.parametrize(
    ("document", "field", "rule"),
    [
        ({"success_codes": []}, "success_codes", "minItems"),
        ({"success_codes": "200"}, "success_codes", "type"),
        ({"success_codes": ["200"] * 21}, "success_codes", "maxItems"),
        ({"success_codes": [200]}, "success_codes.0", "type"),
        ({"success_codes": ["200", "20x"]}, "success_codes.1", "pattern"),
        ({"success_codes": ["100"]}, "success_codes.0", "pattern"),
        ({"success_codes": ["600"]}, "success_codes.0", "pattern"),
        ({"success_codes": ["2XX"]}, "success_codes.0", "pattern"),
        ({"success_codes": ["200\n"]}, "success_codes.0", "wrong_format"),
        ({"timeout_ms": 99}, "timeout_ms", "minimum"),
        ({"timeout_ms": 30_001}, "timeout_ms", "maximum"),
        ({"timeout_ms": True}, "timeout_ms", "type"),
        ({"retry_schedule_s": [1] * 21}, "retry_schedule_s", "maxItems"),
        ({"retry_schedule_s": [0]}, "retry_schedule_s.0", "minimum"),
        ({"retry_schedule_s": [86_401]}, "retry_schedule_s.0", "maximum"),
        ({"retry_schedule_s": 5}, "retry_schedule_s", "type"),
        ({"max_age_s": 0}, "max_age_s", "minimum"),
        ({"max_age_s": 604_801}, "max_age_s", "maximum"),
        ({"max_age_s": 1.5}, "max_age_s", "type"),
    ],
)
def test_an_invalid_option_is_refused(document: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        RULES.validate({**GOOD, **document})
    assert list(refused.value.errors) == [field]
    assert rule in refused.value.errors[field]


def test_what_earlier_releases_have_stored_under_these_keys_is_left_out() -> None:
    stored = {"success_codes": "x", "timeout_ms": "soon", "retry_schedule_s": ["x"], "max_age_s": None}
    assert DeliveryOptions.from_document(stored) == DeliveryOptions()
    assert DeliveryOptions.from_document({"success_codes": [200], "timeout_ms": 1}) == DeliveryOptions(
        timeout=0.1
    )
