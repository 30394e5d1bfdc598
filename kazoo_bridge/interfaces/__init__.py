"""What may be replaced, as zope.interface, with the values and errors that cross."""

from kazoo_bridge.interfaces.attempts import Attempt, HookHealth, IAttemptStore, StoredAttempt
from kazoo_bridge.interfaces.bus import (
    BusUnavailable,
    EventHandler,
    IBus,
    IConsumer,
    Queue,
    Requeue,
    Topic,
    Unroutable,
)
from kazoo_bridge.interfaces.calls import CallChange, CommandRefused, ICalls, ICallWatch, UnknownCall
from kazoo_bridge.interfaces.categories import (
    ALL_ACCOUNTS,
    BindingPlan,
    BindingRefused,
    HookType,
    IBindingCategory,
    IEventCategory,
    Occurrence,
    SubscriberEvent,
    TopicFilter,
)
from kazoo_bridge.interfaces.deliveries import Delivery, DeliveryResults, IDeliveryStore, StoredDelivery
from kazoo_bridge.interfaces.directory import Account, IDirectory, Principal
from kazoo_bridge.interfaces.errors import StorageUnavailable
from kazoo_bridge.interfaces.hooks import (
    MAX_ACCOUNT_LIMIT,
    AccountLimits,
    IHookStore,
    ILimitStore,
    RevisionConflict,
    Secret,
    StoredHook,
    TooManyHooks,
)

__all__ = [
    "ALL_ACCOUNTS",
    "MAX_ACCOUNT_LIMIT",
    "Account",
    "AccountLimits",
    "Attempt",
    "BindingPlan",
    "BindingRefused",
    "BusUnavailable",
    "CallChange",
    "CommandRefused",
    "Delivery",
    "DeliveryResults",
    "EventHandler",
    "HookHealth",
    "HookType",
    "IAttemptStore",
    "IBindingCategory",
    "IBus",
    "ICallWatch",
    "ICalls",
    "IConsumer",
    "IDeliveryStore",
    "IDirectory",
    "IEventCategory",
    "IHookStore",
    "ILimitStore",
    "Occurrence",
    "Principal",
    "Queue",
    "Requeue",
    "RevisionConflict",
    "Secret",
    "StorageUnavailable",
    "StoredAttempt",
    "StoredDelivery",
    "StoredHook",
    "SubscriberEvent",
    "TooManyHooks",
    "Topic",
    "TopicFilter",
    "UnknownCall",
    "Unroutable",
]
