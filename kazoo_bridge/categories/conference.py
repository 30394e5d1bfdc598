"""Conferences: one is created or destroyed, a member joins, leaves, talks or is muted.

KAZOO publishes ``conference.event.{EVENT}.{ACCOUNT_ID}.{CONFERENCE_ID}.{CALL_ID}`` on ``conference``.
KAZOO itself has no such hook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import account_segment, id_segment, invalid_format
from kazoo_bridge.interfaces import (
    Account,
    BindingPlan,
    BindingRefused,
    HookType,
    IBindingCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.kazoo import Event, channel_variables, is_account_id, public_form

_EXCHANGE = "conference"
_EVENTS = Topic(_EXCHANGE, "conference.event.*.*.*.*")
_COMMANDS = Topic(_EXCHANGE, "conference.command.*")

#: Stands for the account of a command that names none; no account has this id.
_NO_ACCOUNT = "undefined"

#: The events that the switch reports by default.
EVENTS = (
    "conference-create",
    "conference-destroy",
    "lock",
    "unlock",
    "add-member",
    "del-member",
    "stop-talking",
    "start-talking",
    "mute-member",
    "unmute-member",
    "deaf-member",
    "undeaf-member",
)

#: Keys of the message that payloads leave out.
_INTERNAL_KEYS = frozenset({"app_name", "app_version", "event_category", "msg_id", "custom_channel_vars"})

_CONFERENCE_SAMPLE: Mapping[str, Any] = {
    "account_id": "3f0a9c51d7e84b62a1c05d9e7b2f4860",
    "event_name": "event",
    "conference_id": "a4e19c7d03b84f5e9261c8d07fb35a12",
    "instance_id": "5d0b6f3e-8a17-4c92-b3e4-71f09d2c6a58",
}
_MEMBER_SAMPLE: Mapping[str, Any] = {
    "call_id": "9c1e7f40-55ab-4d02-8a6f-2e0b7d91c3aa@198.51.100.20",
    "participant_id": 7,
    "caller_id_name": "Ingrid Solberg",
    "caller_id_number": "+4722555019",
    "channel_presence_id": "2014@voice.example.com",
    "conference_channel_vars": {"is_moderator": False, "speak": True, "hear": True},
}


def _sample(name: str) -> dict[str, Any]:
    member = _MEMBER_SAMPLE if name.endswith(("-member", "-talking")) else {}
    return {"event": name, **_CONFERENCE_SAMPLE, **member}


def _account_id_from(event: Event) -> str | None:
    """Return the account in the message, otherwise the one in the routing key."""
    segments = event.routing_key.split(".")
    candidates = (
        event.body.get("Account-ID"),
        channel_variables(event.body).get("Account-ID"),
        segments[3] if len(segments) > 3 else None,
    )
    return next((candidate for candidate in candidates if is_account_id(candidate)), None)


@implementer(IPlugin, IBindingCategory)
@frozen
class ConferenceCategory:
    """One hook, which can select one kind of event; bindings for events and for commands to a conference."""

    name: str = "conference"
    bindings: tuple[str, ...] = (
        "conference.event.{CONFERENCE_ID}.{CALL_ID}",
        "conference.command.{CONFERENCE_ID}",
    )
    hooks: tuple[HookType, ...] = (
        HookType(
            id="conference",
            name="Conference",
            description="A conference begins or ends, or something happens to one of its members",
            modifiers={
                "type": {
                    "type": "array",
                    "description": "The kind of event",
                    "items": ["all", *EVENTS],
                    "default": "all",
                }
            },
            samples=tuple(_sample(name) for name in EVENTS),
        ),
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return [Topic(_EXCHANGE, "conference.event.#")]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""
        kind = event.body.get("Event")
        if event.name != "event" or not isinstance(kind, str):
            return []
        account_id = _account_id_from(event)
        payload = {
            name: value for name, value in public_form(event.body).items() if name not in _INTERNAL_KEYS
        }
        if account_id is not None:
            payload["account_id"] = account_id
        return [Occurrence("conference", account_id, payload, {"type": kind})]

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`.

        The routing keys of commands contain no account, so only super-admins get those of all conferences,
        and commands that name no account.
        """
        first, *segments = binding.split(".")
        if first != "conference":
            return None
        match segments:
            case ["event", conference_id, call_id]:
                events = f"conference.event.*.{account_segment(account)}"
                ids = [id_segment("conference", segments, one) for one in (conference_id, call_id)]
                return BindingPlan(
                    (TopicFilter(Topic(_EXCHANGE, f"{events}.*.*"), f"{events}.{'.'.join(ids)}", _EVENTS),)
                )
            case ["command", "*"] if account is not None:
                raise BindingRefused("ConferenceId required")
            case ["command", conference_id]:
                conference = id_segment("conference", segments, conference_id)
                keys = [f"conference.command.{conference}"]
                if account is not None and superadmin:
                    keys.append(f"conference.command.{_NO_ACCOUNT}.{conference}")
                return BindingPlan(tuple(TopicFilter(_COMMANDS, key) for key in keys))
        raise invalid_format("conference", segments)

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`.

        A command reaches the subscriptions of the account that it names; one without an account reaches
        those for all accounts, and those of super-admins for one.
        """
        key = event.routing_key
        first, kind, conference_id = [*key.split(".", 2), "", ""][:3]
        if first != "conference" or kind != "command":
            return [SubscriberEvent(key, key)]
        account_id = _account_id_from(event)
        if account_id is not None:
            return [SubscriberEvent(key, key, account_id)]
        unowned = f"conference.command.{_NO_ACCOUNT}.{conference_id}"
        return [SubscriberEvent(key, key, _NO_ACCOUNT), SubscriberEvent(unowned, key)]


conference = ConferenceCategory()
