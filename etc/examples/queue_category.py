"""An example of an event category: hooks and bindings for calls that enter or leave a waiting queue.

Copy this file into the folder that the setting ``plugins.path`` names, and change it.
"""

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    BindingPlan,
    BindingRefused,
    HookType,
    IBindingCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.kazoo import is_account_id, normalize

#: Event name -> the hook that it fires.
HOOKS = {"ENTERED": "queue_entered", "LEFT": "queue_left"}


@implementer(IPlugin, IBindingCategory)
@frozen
class QueueCategory:
    """``acdc.queue.{ENTERED or LEFT}.{ACCOUNT_ID}`` on the exchange ``callevt``."""

    name = "queue"
    bindings = ("queue.ENTERED", "queue.LEFT")
    hooks = (
        HookType(
            "queue_entered",
            "Queue Entered",
            "A call has begun to wait in a queue",
            samples=({"event_name": "ENTERED", "call_id": "9c1e7f40", "queue_id": "a4e19c7d"},),
        ),
        HookType(
            "queue_left",
            "Queue Left",
            "A call no longer waits in a queue",
            samples=({"event_name": "LEFT", "call_id": "9c1e7f40", "queue_id": "a4e19c7d"},),
        ),
    )

    def topics(self, hook):
        """One topic for each hook."""
        return [Topic("callevt", "acdc.queue.ENTERED.*" if hook == "queue_entered" else "acdc.queue.LEFT.*")]

    def occurrences(self, event):
        """At most one; the method also receives the events of other categories on ``callevt``."""
        if event.body.get("Event-Category") != "acdc_queue" or event.name not in HOOKS:
            return []
        account_id = event.body.get("Account-ID")
        return [
            Occurrence(
                HOOKS[event.name],
                account_id if is_account_id(account_id) else None,
                normalize(event.body),
            )
        ]

    def resolve_binding(self, binding, account, superadmin, now):
        """``queue.ENTERED``, ``queue.LEFT`` or ``queue.*``."""
        first, _, name = binding.partition(".")
        if first != "queue":
            return None
        if name not in (*HOOKS, "*"):
            raise BindingRefused(f"event {name} not supported")
        account_id = "*" if account is None else account.id
        pattern = f"acdc.queue.{name}.{account_id}"
        return BindingPlan((TopicFilter(Topic("callevt", pattern), pattern),))

    def subscriber_events(self, event):
        """The routing key contains the account's id, so it serves as the key."""
        return [SubscriberEvent(event.routing_key, event.routing_key)]


queue = QueueCategory()
