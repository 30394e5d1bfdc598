from __future__ import annotations

from kazoo_bridge.categories.notification_types import NOTIFICATION_TYPES


def test_names_and_routing_keys_are_unique() -> None:
    assert len({one.name for one in NOTIFICATION_TYPES}) == len(NOTIFICATION_TYPES)
    assert len({one.routing_key for one in NOTIFICATION_TYPES}) == len(NOTIFICATION_TYPES)


def test_routing_keys_are_those_of_kazoo() -> None:
    keys = {one.name: one.routing_key for one in NOTIFICATION_TYPES}
    assert keys["voicemail_new"] == "notifications.voicemail.new"
    assert keys["port_request"] == "notifications.number.port_request"
    assert keys["system_alert"] == "notifications.system.alert"
    assert all(key.startswith("notifications.") and key.count(".") == 2 for key in keys.values())


def test_every_type_has_texts_and_fields() -> None:
    for one in NOTIFICATION_TYPES:
        assert one.friendly_name
        assert one.description
        assert one.fields
        assert len(set(one.fields)) == len(one.fields)
