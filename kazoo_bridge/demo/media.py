"""Commands that are heard and not seen: what is played to a leg, recorded of it, how loud it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.demo.leg import Leg

MEDIA_ACTIONS = frozenset({"play", "say", "tts", "record_call", "audio_level"})

#: What ``record_call`` makes of a recording, by its state before; a state that is not listed stays.
_RECORDING: Mapping[str, Mapping[str, str]] = {
    "start": {"off": "on"},
    "stop": {"on": "off", "masked": "off"},
    "mask": {"on": "masked"},
    "unmask": {"masked": "on"},
    "toggle": {"off": "on", "on": "off", "masked": "off"},
}


def set_media(leg: Leg, action: str, data: Mapping[str, Any]) -> None:
    """Carry out one of `MEDIA_ACTIONS`; the leg's `media` says afterwards how it stands."""
    if action == "record_call":
        before = leg.media.get("recording", "off")
        leg.media["recording"] = _RECORDING.get(str(data.get("action", "start")), {}).get(before, before)
    elif action == "audio_level":
        if data.get("action") == "stop":
            leg.media.pop("audio level", None)
        else:
            leg.media["audio level"] = str(data.get("level", 0))
    else:
        leg.media["playing"] = str(data.get("id" if action == "play" else "text", ""))[:80]
