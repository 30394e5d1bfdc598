"""Events as KAZOO publishes them."""

from __future__ import annotations

from typing import Any


def call_event(
    account_id: str | None, call_id: str, name: str = "CHANNEL_CREATE", **more: Any
) -> dict[str, Any]:
    """Make an event of a call; `more` are further keys."""
    variables = {"Owner-ID": "owner", "Presence-ID": "internal", "Own-Var": "Ünïcode"} | (
        {"Account-ID": account_id} if account_id else {}
    )
    return {
        "App-Name": "ecallmgr",
        "App-Version": "4.0.0",
        "Event-Category": "call_event",
        "Event-Name": name,
        "Msg-ID": call_id,
        "Call-ID": call_id,
        "Call-Direction": "inbound",
        "Caller-ID-Name": "Žofie Nováková 🎧",
        "Custom-Channel-Vars": variables,
        "Timestamp": 63961574400,
        **more,
    }
