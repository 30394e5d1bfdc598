"""The arguments of the durable queue: its type and its bounds, and what to do where a broker lacks them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from kazoo_bridge.config import Amqp

#: Arguments by `amqp.queue_type`. By default, quorum queues of newer brokers drop a message after 20
#: deliveries, which would lose events.
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "quorum": {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000},
    "classic": {},
}
_OF_QUORUM_QUEUES = frozenset({"x-queue-type", "x-delivery-limit"})
#: Argument -> the key of a policy that has the same effect.
_POLICY_KEYS = {
    "x-max-length-bytes": "max-length-bytes",
    "x-overflow": "overflow",
    "x-message-ttl": "message-ttl",
}


def durable_queue_arguments(settings: Amqp) -> dict[str, Any]:
    """Return the arguments that the configuration wants: the type, and the bounds that are not 0.

    At the bound the broker drops the oldest messages; it refuses or blocks no publisher.
    """
    arguments = dict(_TYPES[settings.queue_type])
    if settings.queue_max_bytes:
        arguments |= {"x-max-length-bytes": settings.queue_max_bytes, "x-overflow": "drop-head"}
    if settings.queue_max_age_s:
        arguments["x-message-ttl"] = settings.queue_max_age_s * 1000
    return arguments


@define(eq=False)
class QueueArguments:
    """Arguments of durable queues on all connections of a bus.

    `wanted` is what they are declared with next. `effective` is what the broker has accepted for the queue on
    the present connection; empty while that is not known.
    """

    _configured: Mapping[str, Any] = field(factory=dict)
    wanted: Mapping[str, Any] = field(init=False)
    effective: Mapping[str, Any] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.wanted = dict(self._configured)

    @property
    def max_bytes(self) -> int:
        """The bound of the queue in bytes; 0 if it has none or the node does not know it."""
        return int(self.effective.get("x-max-length-bytes", 0))

    def simplify(self, *, without_type: bool = False) -> bool:
        """Want less after the broker has refused `wanted`; returns False when there is nothing left to omit.

        First a quorum queue without an age (RabbitMQ before 3.10), then a classic queue with the bounds, then
        a plain one. `without_type`: the broker has no queues of this type at all.
        """
        if "x-queue-type" in self.wanted and "x-message-ttl" in self.wanted and not without_type:
            self.wanted = {key: value for key, value in self.wanted.items() if key != "x-message-ttl"}
        elif "x-queue-type" in self.wanted:
            self.wanted = {
                key: value for key, value in self._configured.items() if key not in _OF_QUORUM_QUEUES
            }
        elif self.wanted:
            self.wanted = {}
        else:
            return False
        return True

    def policy(self, queue: str) -> str | None:
        """Return the command that gives an existing queue the configured bounds; None without bounds."""
        bounds = {_POLICY_KEYS[key]: value for key, value in self._configured.items() if key in _POLICY_KEYS}
        if not bounds:
            return None
        # A policy names queues by a regular expression.
        pattern, definition = f"^{re.escape(queue)}$", json.dumps(bounds, separators=(",", ":"))
        return (
            "rabbitmqctl set_policy --apply-to queues kazoo_bridge "
            f"{shlex.quote(pattern)} {shlex.quote(definition)}"
        )
