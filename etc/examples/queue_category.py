"""An example of an event category: hooks and bindings for calls that enter or leave a waiting queue.

Copy this file into the folder that ``plugins.path`` names, and change it.
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


@implementer(IPlugin, IBindingCategory)
@frozen
class QueueCategory:
    """``acdc.queue.{ENTERED or LEFT}.{ACCOUNT_ID}`` on the exchange ``callevt``."""

    name = "queue"
    bindings = ("queue.ENTERED", "queue.LEFT")
    hooks = (
        HookType("queue_entered", "Queue Entered", "A call has begun to wait in a queue"),
        HookType("queue_left", "Queue Left", "A call waits no longer"),
    )

    def topics(self, hook):
        """One key for each hook."""
        return [Topic("callevt", "acdc.queue.ENTERED.*" if hook == "queue_entered" else "acdc.queue.LEFT.*")]

    def occurrences(self, event):
        """Only what this category knows; other events come along too."""
        hook = {"ENTERED": "queue_entered", "LEFT": "queue_left"}.get(event.name)
        account_id = event.body.get("Account-ID")
        if hook is None or event.body.get("Event-Category") != "acdc_queue":
            return []
        return [Occurrence(hook, account_id if is_account_id(account_id) else None, normalize(event.body))]

    def resolve_binding(self, binding, account, superadmin, now):
        """``queue.{ENTERED, LEFT or *}``; `account` is None for those who may listen to all of them."""
        first, _, kind = binding.partition(".")
        if first != "queue":
            return None
        if kind not in ("ENTERED", "LEFT", "*"):
            raise BindingRefused(f"event {kind} not supported")
        account_id = "*" if account is None else account.id
        return BindingPlan(
            (
                TopicFilter(
                    Topic("callevt", f"acdc.queue.{kind}.{account_id}"), f"acdc.queue.{kind}.{account_id}"
                ),
            )
        )

    def subscriber_events(self, event):
        """The keys on the bus name the account already."""
        return [SubscriberEvent(event.routing_key, event.routing_key)]


queue = QueueCategory()
