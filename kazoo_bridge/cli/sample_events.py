"""Makes messages, as KAZOO would publish them, of the samples of hook types."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from orjson import dumps

from kazoo_bridge.categories.notification_types import NOTIFICATION_TYPES
from kazoo_bridge.interfaces import HookType, IEventCategory
from kazoo_bridge.kazoo import (
    Event,
    account_db,
    build_envelope,
    encode_key_part,
    to_gregorian,
)

#: The prefix of ids of samples in REST.
SAMPLE_PREFIX = "webhooks_"

#: Keys of KAZOO's messages that have a form of their own, by their normalized form.
_FORMS = {"id": "ID", "ids": "IDs", "uri": "URI", "url": "URL", "did": "DID", "mac": "MAC"}

#: Keys of a call's sample that are channel variables in the message.
_CHANNEL_VARIABLES = {
    "account_id": "Account-ID",
    "authorizing_id": "Authorizing-ID",
    "authorizing_type": "Authorizing-Type",
    "owner_id": "Owner-ID",
    "reseller_id": "Reseller-ID",
    "call_forwarded": "Call-Forward",
    "local_resource_id": "Resource-ID",
    "original_number": "Original-Number",
}

#: Keys of a call's sample that are made of others.
_DERIVED = {
    "hook_event",
    "custom_channel_vars",
    "emergency_resource_used",
    "is_internal_leg",
    "local_resource_used",
}

#: What the bus calls some keys of messages (SMS and MMS).
_MESSAGE_KEYS = {"id": "Message-ID", "origin": "Route-Type"}


class NoMessage(Exception):
    """No message is known that fires the hook; the text says why."""


@frozen
class GivenSample:
    """What a message is made of: the `values` of a sample, with the ids of the event."""

    category: IEventCategory
    hook_type: HookType
    values: Mapping[str, Any]
    account_id: str
    now: float


@frozen
class SampleMessage:
    """A message for the bus."""

    exchange: str
    routing_key: str
    body: Mapping[str, Any]

    @property
    def event(self) -> Event:
        """The event that the message becomes."""
        return Event(self.exchange, self.routing_key, self.body, dumps(self.body))


def find_hook_type(categories: Iterable[IEventCategory], name: str) -> tuple[IEventCategory, HookType]:
    """Return the category and the hook type of a sample, with or without `SAMPLE_PREFIX`; or `NoMessage`."""
    wanted = name.removeprefix(SAMPLE_PREFIX)
    known = []
    for category in categories:
        for hook_type in category.hooks:
            if hook_type.id == wanted:
                return category, hook_type
            known.append(hook_type.id)
    raise NoMessage(f"there is no hook type {wanted}; known are {', '.join(sorted(known))}")


def make_message(
    category: IEventCategory, hook_type: HookType, sample: Mapping[str, Any], account_id: str, now: float
) -> SampleMessage:
    """Return the message of a sample, for an account, at `now` (Unix seconds). Its ids are new.

    Raises `NoMessage` if the category would fire no hook of that type and account.
    """
    sample = {**sample, **({"account_id": account_id} if "account_id" in sample else {})}
    if "call_id" in sample:
        sample["call_id"] = f"sample-{secrets.token_hex(8)}"
    if "timestamp" in sample:
        sample["timestamp"] = to_gregorian(now)
    make = _MAKERS.get(category.name, _plugin_message)
    message = make(GivenSample(category, hook_type, sample, account_id, now))
    fired = [
        one
        for one in category.occurrences(message.event)
        if one.hook == hook_type.id and one.account_id == account_id and one.inline_hook is None
    ]
    if not fired:
        raise NoMessage(f"no message is known that fires {hook_type.id} with this sample")
    return message


def titled(name: str) -> str:
    """Return a normalized key in the form of KAZOO's messages: ``call_id`` is ``Call-ID``."""
    return "-".join(_FORMS.get(word, word.capitalize()) for word in name.split("_"))


def _denormalized(sample: Mapping[str, Any]) -> dict[str, Any]:
    return {titled(name): value for name, value in sample.items()}


def _with_envelope(category: str, name: str, body: Mapping[str, Any], app: str) -> dict[str, Any]:
    envelope = build_envelope(category, name, app_name=app, app_version="sample")
    return {**body, **envelope, "Node": "sample@kazoo-bridge"}


def _call(given: GivenSample) -> SampleMessage:
    name = str(given.values.get("event_name") or given.hook_type.id.upper())
    variables = {key: given.values[one] for one, key in _CHANNEL_VARIABLES.items() if one in given.values}
    derived = _DERIVED | set(_CHANNEL_VARIABLES) | {"event_name"}
    body = _denormalized({key: value for key, value in given.values.items() if key not in derived})
    body |= {"Custom-Channel-Vars": variables, "Timestamp": to_gregorian(given.now)}
    key = f"call.{name}.{encode_key_part(str(given.values['call_id']))}"
    return SampleMessage("callevt", key, _with_envelope("call_event", name, body, "ecallmgr"))


def _conference(given: GivenSample) -> SampleMessage:
    parts = (
        given.values["event"],
        given.account_id,
        given.values["conference_id"],
        encode_key_part(str(given.values.get("call_id") or "undefined")),
    )
    body = _with_envelope("conference", "event", _denormalized(given.values), "ecallmgr")
    return SampleMessage("conference", f"conference.event.{'.'.join(parts)}", body)


def _fax_status(given: GivenSample) -> SampleMessage:
    key = f"fax.status.{given.account_id}.{encode_key_part(str(given.values['job_id']))}"
    return SampleMessage("faxes", key, _with_envelope("fax", "status", _denormalized(given.values), "fax"))


def _text_message(given: GivenSample) -> SampleMessage:
    body = {
        _MESSAGE_KEYS.get(name, titled(name)): value for name, value in given.values.items() if name != "type"
    }
    message_id = body["Message-ID"] = secrets.token_hex(16)
    key = f"{given.hook_type.id}.inbound.offnet.{message_id}"
    return SampleMessage("im", key, _with_envelope(given.hook_type.id, "inbound", body, "im"))


def _notification(given: GivenSample) -> SampleMessage:
    name = str(given.values["event_name"])
    key = next((one.routing_key for one in NOTIFICATION_TYPES if one.name == name), "")
    body = _with_envelope("notification", name, _denormalized(given.values), "notifier")
    return SampleMessage("notifications", key.replace("*", "sample"), body)


def _object(given: GivenSample) -> SampleMessage:
    action, kind = str(given.values["action"]), str(given.values["type"])
    if (kind, action) == ("account", "doc_deleted"):
        raise NoMessage("this would make every node delete the account: choose another with --where")
    database = "accounts" if kind == "account" else account_db(given.account_id)
    document_id = given.account_id if kind == "account" else secrets.token_hex(16)
    body = {
        "ID": document_id,
        "Type": kind,
        "Database": database,
        "Rev": f"1-{secrets.token_hex(16)}",
        "Date-Modified": to_gregorian(given.now),
        "Is-Soft-Deleted": False,
        "Account-ID": given.account_id,
    }
    key = f"{action}.{encode_key_part(database)}.{kind}.{document_id}"
    return SampleMessage("configuration", key, _with_envelope("configuration", action, body, "crossbar"))


def _plugin_message(given: GivenSample) -> SampleMessage:
    """Try what a category of a plugin may read: its first topic, and the sample with KAZOO's keys.

    The routing key names the event and ends with the account, as those of most of KAZOO's messages do.
    """
    topic = next(iter(given.category.topics(given.hook_type.id)))
    first, *rest = segments = topic.pattern.split(".")
    name = str(given.values.get("event_name") or next((one for one in rest if one not in ("*", "#")), first))
    places = [index for index, segment in enumerate(segments) if segment in ("*", "#")]
    for index in places:
        segments[index] = encode_key_part(given.account_id if index == places[-1] else name)
    body = {"Account-ID": given.account_id, **_denormalized(given.values)}
    return SampleMessage(
        topic.exchange, ".".join(segments), _with_envelope(first, name, body, given.category.name)
    )


_MAKERS = {
    "call": _call,
    "parking": _call,
    "conference": _conference,
    "fax_status": _fax_status,
    "messages": _text_message,
    "notifications": _notification,
    "object": _object,
}
