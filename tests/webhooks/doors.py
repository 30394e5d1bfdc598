"""The two ways to send a request, for tests that hold for both."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from kazoo_bridge.webhooks.egress import BadDestination, parse_destination
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from kazoo_bridge.webhooks.http.wire_request import wire_request

Door = Callable[[Sender, HookRequest], Deferred[Outcome]]


def by_send(sender: Sender, request: HookRequest) -> Deferred[Outcome]:
    """Send over treq and the agent."""
    return Deferred.fromCoroutine(sender.send(request))


def by_begin(sender: Sender, request: HookRequest) -> Deferred[Outcome]:
    """Send over the pool, unless the URL is malformed."""
    try:
        parse_destination(request.url)
    except BadDestination:
        return by_send(sender, request)
    outcome: Deferred[Outcome] = Deferred(lambda _: exchange.cancel())
    exchange = sender.begin(wire_request(request, persistent=sender.persistent), outcome.callback)
    assert not outcome.called
    return outcome
