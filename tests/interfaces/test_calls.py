from __future__ import annotations

from kazoo_bridge.interfaces import CallChange, CommandRefused


def test_a_refused_command_says_what_is_wrong_with_each_field() -> None:
    refused = CommandRefused(
        {
            "target": {"required": {"message": "this field is required"}},
            "leg": {"enum": {"message": "not one of the legs"}, "type": {"message": "not a text"}},
        }
    )
    assert str(refused) == "target: this field is required; leg: not one of the legs; leg: not a text"
    assert refused.errors["target"]["required"]["message"] == "this field is required"


def test_a_change_without_calls_is_empty() -> None:
    change = CallChange("stale")
    assert (change.calls, change.call_ids) == ((), ())
