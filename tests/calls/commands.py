"""Data of commands for tests."""

from __future__ import annotations

from typing import Any

from kazoo_bridge.calls.command_schemas import COMMAND_SCHEMAS

#: The minimal data of each command.
MINIMAL_DATA: dict[str, dict[str, Any]] = {name: {} for name in COMMAND_SCHEMAS} | {
    "audio_level": {"action": "start"},
    "callflow": {"id": "5" * 32},
    "intercept": {"target_type": "user", "target_id": "6" * 32},
    "play": {"id": "welcome"},
    "say": {"text": "2001"},
    "transfer": {"target": "2001"},
    "tts": {"text": "One moment"},
}


def nested_flow(levels: int) -> dict[str, Any]:
    flow: dict[str, Any] = {"module": "hangup"}
    for _ in range(levels):
        flow = {"module": "tts", "data": {"text": "next"}, "children": {"_": flow}}
    return flow
