"""A fake node of KAZOO's switch that replies to channel queries and collects commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from kazoo_bridge.interfaces import IBus, Queue, Topic
from kazoo_bridge.kazoo import TARGETED, Event

ACCOUNT, OTHER = "a" * 32, "c" * 32


def channel(call_id: str = "call-1", account_id: Any = ACCOUNT, **more: Any) -> dict[str, Any]:
    """Return a channel as in replies about one call. Keys of `more` have ``_`` for ``-``."""
    data = {
        "Call-ID": call_id,
        "Account-ID": account_id,
        "Answered": True,
        "Timestamp": 63961574400,
        "Call-Direction": "inbound",
    }
    return data | {name.replace("_", "-"): value for name, value in more.items()}


def listed(call_id: str = "call-1", account_id: Any = ACCOUNT, **more: Any) -> dict[str, Any]:
    """Return a channel as in replies about an account."""
    data = {
        "uuid": call_id,
        "account_id": account_id,
        "answered": True,
        "timestamp": 63961574400,
        "direction": "inbound",
    }
    return data | more


@define(eq=False)
class SwitchNode:
    """Replies with its channels: `one` by call id, and `of_account`. A test may replace `answer`.

    `questions` are the bodies of the queries, `commands` the published commands.
    """

    bus: IBus
    one: dict[str, Any] = field(factory=dict)
    of_account: Any = field(factory=list)
    answer: Callable[[Event], None] | None = None
    questions: list[Mapping[str, Any]] = field(factory=list)
    commands: list[Event] = field(factory=list)
    name: str = "ecallmgr@one.example.com"

    def __attrs_post_init__(self) -> None:
        self.bus.consume(
            Queue(topics=frozenset({Topic("callevt", "call.status_req.*")}), acknowledge=False),
            self._on_query,
        )
        self.bus.consume(
            Queue(topics=frozenset({Topic("metaflow", "#")}), acknowledge=False), self.commands.append
        )

    def _on_query(self, event: Event) -> None:
        self.questions.append(event.body)
        (self.answer or self.reply)(event)

    def reply(self, event: Event, channels: Any = None) -> None:
        """Reply to a query, with `channels` or else with those of the node."""
        if channels is None and event.name == "query_account_channels_req":
            channels = self.of_account
        elif channels is None and event.name == "query_user_channels_req":
            channels = [one for one in self.of_account if one.get("username") in event.body["Usernames"]]
        elif channels is None:
            call_id = event.body["Call-ID"]
            if call_id not in self.one:
                return
            channels = {call_id: self.one[call_id]}
        name = event.name.replace("_req", "_resp")
        body = {
            "Event-Category": "call_event",
            "Event-Name": name,
            "Msg-ID": event.body["Msg-ID"],
            "App-Name": "ecallmgr",
            "Node": self.name,
        }
        self.bus.publish(TARGETED, event.body["Server-ID"], body | {"Channels": channels}).addErrback(
            lambda _: None
        )
