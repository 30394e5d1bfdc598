from __future__ import annotations

import pytest

from kazoo_bridge.categories.notification_samples import make_sample
from kazoo_bridge.categories.notification_types import NOTIFICATION_TYPES, NotificationType
from kazoo_bridge.kazoo import is_account_id, normalize


@pytest.mark.parametrize("notification_type", NOTIFICATION_TYPES, ids=lambda one: one.name)
def test_a_sample_has_every_field_in_the_form_of_payloads(notification_type: NotificationType) -> None:
    sample = make_sample(notification_type)
    assert normalize(sample) == sample
    assert sample["event_name"] == notification_type.name
    assert is_account_id(sample["account_id"])
    assert {field.lower().replace("-", "_") for field in notification_type.fields} <= sample.keys()
