"""Which channels there are: the switches are asked over the bus, and what they say is put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from kazoo_bridge.interfaces import IBus
from kazoo_bridge.kazoo import Event, normalise

_EXCHANGE = "callevt"
_KEY = "call.status_req.channels"

#: What stays inside: KAZOO's ``cb_channels`` leaves out the same.
INTERNAL = frozenset(
    {
        "account_id",
        "bridge_id",
        "context",
        "dialplan",
        "handling_locally",
        "node",
        "precedence",
        "profile",
        "realm",
        "app_name",
        "app_version",
        "event_category",
        "event_name",
        "msg_id",
        "server_id",
        "switch_hostname",
        "switch_nodename",
        "switch_url",
        "media_node",
        "fetch_id",
    }
)

#: The public form names these as KAZOO's single-channel answer does; lists of an account come with other names.
_OTHER_NAMES = {
    "uuid": "call_id",
    "direction": "call_direction",
    "other_leg": "other_leg_call_id",
    "is_onhold": "is_on_hold",
    "elapsed_s": "elapsed_seconds",
}

#: More channels than any one account has; the rest is left out.
MOST_CHANNELS = 20_000

Channel = Mapping[str, Any]


@define(eq=False)
class Channels:
    """Asks the switches. `timeout` in seconds."""

    _bus: IBus
    _timeout: float
    #: The switch nodes that answered last: when they all have, nobody else is waited for.
    _nodes: set[str] = field(init=False, factory=set)

    async def of_account(self, account_id: str) -> tuple[list[dict[str, Any]], bool]:
        """The account's channels as the switches have them (lower-case keys, internal ones too), and whether all known switches have answered.

        Fails with `BusUnavailable`.
        """
        body = {
            "Event-Category": "call_event",
            "Event-Name": "query_account_channels_req",
            "Account-ID": account_id,
            "Active-Only": False,
        }
        answers = await self._bus.ask(_EXCHANGE, _KEY, body, timeout=self._timeout, enough=self._all_have_answered)
        answered = {_node(answer) for answer in answers}
        complete = bool(answered) and self._nodes <= answered
        self._nodes = answered
        found: dict[str, dict[str, Any]] = {}
        for channel in _channels(answers):
            if channel.get("account_id") == account_id and len(found) < MOST_CHANNELS:
                # Two nodes may know a channel; what only one of them knows of it is worth having.
                found[channel["call_id"]] = {**found.get(channel["call_id"], {}), **channel}
        return list(found.values()), complete

    async def one(self, account_id: str, call_id: str) -> dict[str, Any] | None:
        """One channel of the account; None when no switch knows it as the account's. Fails with `BusUnavailable`."""
        body = {
            "Event-Category": "call_event",
            "Event-Name": "query_channels_req",
            "Call-ID": call_id,
            "Fields": "all",
            "Active-Only": True,
        }

        def of_the_account(answers: Sequence[Event]) -> list[dict[str, Any]]:
            return [one for one in _channels(answers) if one["call_id"] == call_id and one.get("account_id") == account_id]

        def enough(answers: Sequence[Event]) -> bool:
            return bool(of_the_account(answers)) or self._all_have_answered(answers)

        found = of_the_account(await self._bus.ask(_EXCHANGE, _KEY, body, timeout=self._timeout, enough=enough))
        return found[0] if found else None

    def _all_have_answered(self, answers: Sequence[Event]) -> bool:
        return bool(self._nodes) and self._nodes <= {_node(answer) for answer in answers}


def public(channel: Channel) -> dict[str, Any]:
    """A channel as the outside may see it."""
    return {name: value for name, value in channel.items() if name not in INTERNAL}


def _node(answer: Event) -> str:
    return str(answer.body.get("Node") or answer.body.get("App-Name") or "")


def _channels(answers: Iterable[Event]) -> list[dict[str, Any]]:
    """Every channel in the answers, each with its `call_id`; what is none is left out."""
    found = []
    for answer in answers:
        channels = answer.body.get("Channels")
        # Keyed by call id, or a list, as the question was.
        pairs = channels.items() if isinstance(channels, Mapping) else [(None, one) for one in channels] if isinstance(channels, list) else []
        for call_id, channel in pairs:
            if isinstance(channel, Mapping):
                plain = {_OTHER_NAMES.get(name, name): value for name, value in normalise(channel).items()}
                plain.setdefault("call_id", call_id)
                if isinstance(plain["call_id"], str) and plain["call_id"]:
                    found.append(plain)
    return found
