from __future__ import annotations

from typing import Any

from kazoo_bridge.interfaces import InvalidDocument, IWebhooks


def test_a_refused_document_names_its_fields_in_order() -> None:
    errors: dict[str, dict[str, dict[str, Any]]] = {
        "uri": {"required": {"message": "required"}},
        "hook": {"enum": {"message": "not a hook", "target": ["all"]}},
    }
    refused = InvalidDocument(errors)
    assert str(refused) == "hook, uri"
    assert refused.errors == errors


def test_every_member_is_documented() -> None:
    members = dict(IWebhooks.namesAndDescriptions())
    assert {"hook_types", "create_hook", "attempts", "deliveries", "limits"} <= set(members)
    assert all(member.__doc__ for member in members.values())
