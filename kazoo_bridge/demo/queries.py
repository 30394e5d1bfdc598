"""Replies to queries for the channels of the simulated switch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import SWITCH, Leg
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.interfaces import Topic
from kazoo_bridge.kazoo import Event


class ChannelQueryResponder:
    """Replies to channel queries on the exchange ``callevt``."""

    topics = frozenset({Topic("callevt", "call.status_req.*")})

    def __init__(self, calls: SimulatedCalls, publisher: EventPublisher) -> None:
        self._calls = calls
        self._publisher = publisher
        self._handlers: dict[str, Callable[[Event], None]] = {
            "query_account_channels_req": self._of_account,
            "query_user_channels_req": self._of_users,
            "query_channels_req": self._all,
            "channel_status_req": self._one,
        }

    def handle(self, event: Event) -> None:
        """Reply to a query; other messages are ignored."""
        handler = self._handlers.get(event.name)
        if handler is not None:
            handler(event)

    def _of_account(self, event: Event) -> None:
        account_id = event.body.get("Account-ID")
        if isinstance(account_id, str):
            legs = self._calls.legs(None if account_id == "all" else account_id)
            self._publisher.reply(
                event, "query_account_channels_resp", {"Channels": [self._listed(leg) for leg in legs]}
            )

    def _of_users(self, event: Event) -> None:
        realm, names = event.body.get("Realm"), event.body.get("Usernames")
        if not isinstance(names, list) or not names:
            names = [event.body.get("Username")]
        channels = [channel for channel in map(self._listed, self._calls.legs()) if channel["Realm"] == realm]
        matching = [channel for channel in channels if channel.get("Username") in names]
        if matching or not _active_only(event):
            self._publisher.reply(event, "query_user_channels_resp", {"Channels": matching})

    def _all(self, event: Event) -> None:
        call_id, fields = event.body.get("Call-ID"), event.body.get("Fields")
        channels = {
            leg.id: self._with_fields(leg, fields) for leg in self._calls.legs() if call_id in (None, leg.id)
        }
        if channels or not _active_only(event):
            self._publisher.reply(event, "query_channels_resp", {"Channels": channels})

    def _one(self, event: Event) -> None:
        call_id = str(event.body.get("Call-ID"))
        match = self._calls.find(call_id)
        if match is not None:
            self._publisher.reply(
                event,
                "channel_status_resp",
                {**self._status(match[1]), "Call-ID": call_id, "Status": "active"},
            )
        elif not _active_only(event):
            terminated = {
                "Call-ID": call_id,
                "Status": "terminated",
                "Error-Msg": "the switch has no such channel",
            }
            self._publisher.reply(event, "channel_status_resp", terminated)

    def _status(self, leg: Leg) -> dict[str, Any]:
        channel = leg.channel(self._publisher.now())
        keys = ("Other-Leg-Call-ID", "Realm", "Username", "Custom-Channel-Vars", "Custom-Application-Vars")
        return {**{name: channel[name] for name in keys if name in channel}, "Switch-Nodename": SWITCH}

    def _listed(self, leg: Leg) -> dict[str, Any]:
        return {**leg.channel(self._publisher.now()), "uuid": leg.id}

    def _with_fields(self, leg: Leg, fields: object) -> dict[str, Any]:
        channel = leg.channel(self._publisher.now())
        return (
            {name: value for name, value in channel.items() if name in fields}
            if isinstance(fields, list)
            else channel
        )


def _active_only(event: Event) -> bool:
    return str(event.body.get("Active-Only")).lower() == "true"
