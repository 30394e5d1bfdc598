"""Answers to whoever asks the switch which calls there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import SWITCH, Leg
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.interfaces import Topic
from kazoo_bridge.kazoo import Event


class ChannelQueryResponder:
    """Questions come on ``callevt``; answers go to the asker's queue on ``targeted``."""

    topics = frozenset({Topic("callevt", "call.status_req.*")})

    def __init__(self, live: SimulatedCalls, teller: EventPublisher) -> None:
        self._live = live
        self._teller = teller
        self._answers: dict[str, Callable[[Event], None]] = {
            "query_account_channels_req": self._of_account,
            "query_user_channels_req": self._of_users,
            "query_channels_req": self._all,
            "channel_status_req": self._one,
        }

    def handle(self, event: Event) -> None:
        """One question; what is not for a switch is let pass."""
        answer = self._answers.get(event.name)
        if answer is not None:
            answer(event)

    def _of_account(self, event: Event) -> None:
        account_id = event.body.get("Account-ID")
        if isinstance(account_id, str):
            legs = self._live.legs(None if account_id == "all" else account_id)
            self._teller.reply(
                event, "query_account_channels_resp", {"Channels": [self._listed(leg) for leg in legs]}
            )

    def _of_users(self, event: Event) -> None:
        realm, names = event.body.get("Realm"), event.body.get("Usernames") or [event.body.get("Username")]
        channels = [channel for channel in map(self._listed, self._live.legs()) if channel["Realm"] == realm]
        wanted = [channel for channel in channels if channel.get("Username") in names]
        if wanted or not _active_only(event):
            self._teller.reply(event, "query_user_channels_resp", {"Channels": wanted})

    def _all(self, event: Event) -> None:
        call_id, fields = event.body.get("Call-ID"), event.body.get("Fields")
        channels = {
            leg.id: self._chosen(leg, fields) for leg in self._live.legs() if call_id in (None, leg.id)
        }
        if channels or not _active_only(event):
            self._teller.reply(event, "query_channels_resp", {"Channels": channels})

    def _one(self, event: Event) -> None:
        call_id = str(event.body.get("Call-ID"))
        found = self._live.find(call_id)
        if found is not None:
            self._teller.reply(
                event,
                "channel_status_resp",
                {**self._status(found[1]), "Call-ID": call_id, "Status": "active"},
            )
        elif not _active_only(event):
            gone = {"Call-ID": call_id, "Status": "terminated", "Error-Msg": "the switch has no such channel"}
            self._teller.reply(event, "channel_status_resp", gone)

    def _status(self, leg: Leg) -> dict[str, Any]:
        channel = leg.channel(self._teller.now())
        told = ("Other-Leg-Call-ID", "Realm", "Username", "Custom-Channel-Vars", "Custom-Application-Vars")
        return {**{name: channel[name] for name in told if name in channel}, "Switch-Nodename": SWITCH}

    def _listed(self, leg: Leg) -> dict[str, Any]:
        return {**leg.channel(self._teller.now()), "uuid": leg.id}

    def _chosen(self, leg: Leg, fields: object) -> dict[str, Any]:
        channel = leg.channel(self._teller.now())
        return (
            {name: value for name, value in channel.items() if name in fields}
            if isinstance(fields, list)
            else channel
        )


def _active_only(event: Event) -> bool:
    return str(event.body.get("Active-Only")).lower() == "true"
