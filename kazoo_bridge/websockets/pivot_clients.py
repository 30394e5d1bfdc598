"""Sends what KAZOO asks to the connected clients that have subscribed to ``pivot.{NAME}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import frozen
from zope.interface import implementer

from kazoo_bridge.interfaces import IPivotClients, SubscriberEvent
from kazoo_bridge.kazoo import Event, encode_key_part, public_form
from kazoo_bridge.websockets.server.frames import EventFrame, encode_json, event_content
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_index import SubscriptionGroup


@implementer(IPivotClients)
@frozen
class PivotClients:
    """See `IPivotClients`. A client is named by the id of its session."""

    _fanout: EventFanout

    def candidates(self, account_id: str, name: str) -> Sequence[str]:
        """See `IPivotClients`."""
        matches = self._match(_event(account_id, name, {}))
        return list(dict.fromkeys(session.id for _, _, sessions in matches for session in sessions))

    def ask(
        self, account_id: str, name: str, event: Mapping[str, Any], only: Sequence[str] | None
    ) -> Sequence[str]:
        """See `IPivotClients`."""
        question = _event(account_id, name, event)
        data = orjson.Fragment(encode_json(public_form(event)))
        asked: dict[str, None] = {}
        for subscriber_event, group, sessions in self._match(question):
            content = event_content(question.name, subscriber_event.routing_key, data)
            frame = EventFrame(
                group.subscribed_key,
                group.prefix(subscriber_event.key),
                content,
                self._fanout.next_sequence(),
            )
            for session in sessions:
                if only is None or session.id in only:
                    session.deliver(frame)
                    session.bucket.give_back()  # for the answer, whatever the client's rate limit
                    asked[session.id] = None
            if frame.holders:
                frame.forget_encodings()
        return list(asked)

    def _match(
        self, event: Event
    ) -> Iterator[tuple[SubscriberEvent, SubscriptionGroup[Session], list[Session]]]:
        for subscriber_event, group in self._fanout.index.match(event):
            yield subscriber_event, group, [one for one in list(group.subscribers) if one.is_connected]


def _event(account_id: str, name: str, body: Mapping[str, Any]) -> Event:
    return Event("sysconf", f"pivot.event.{account_id}.{encode_key_part(name)}", body, b"")
