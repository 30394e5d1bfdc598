"""The interfaces of everything that can be replaced, as ``zope.interface``, with their values and errors.

The rule for imports: these modules import nothing of the project at run time. `kazoo_bridge.kazoo.Event`
appears in signatures only, and is imported for type checkers alone. So every package may import interfaces,
and a plugin needs nothing else but `kazoo_bridge.kazoo`.
"""

from typing import TYPE_CHECKING, Any

from kazoo_bridge.interfaces.accounts import (
    AccountFields,
    AccountHasDescendants,
    AccountNotLocal,
    AccountRefused,
    IAccountManager,
)
from kazoo_bridge.interfaces.attempts import Attempt, HookHealth, IAttemptStore, StoredAttempt
from kazoo_bridge.interfaces.bus import (
    BusUnavailable,
    Completion,
    EventHandler,
    IBus,
    IConsumer,
    InvalidMessage,
    Queue,
    Requeue,
    Topic,
    Unroutable,
)
from kazoo_bridge.interfaces.calls import (
    CallChange,
    CommandRefused,
    ICalls,
    ICallWatch,
    UnknownCall,
    UnknownCommand,
)
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
from kazoo_bridge.interfaces.deliveries import (
    UNTIL_ENABLED,
    Delivery,
    DeliveryResults,
    IDeliveryStore,
    IMissedEventStore,
    StoredDelivery,
)
from kazoo_bridge.interfaces.directory import (
    Account,
    IDirectory,
    ISipUsernames,
    LoginRefused,
    Principal,
    UserLogin,
)
from kazoo_bridge.interfaces.hooks import (
    MAX_ACCOUNT_LIMIT,
    AccountLimits,
    IHookStore,
    ILimitStore,
    RevisionConflict,
    Secret,
    StorageUnavailable,
    StoredHook,
    Suspension,
    TooManyHooks,
)
from kazoo_bridge.interfaces.nodes import INodes
from kazoo_bridge.interfaces.token_restrictions import AccessedPath, TokenRestrictions
from kazoo_bridge.interfaces.webhooks import (
    InvalidDocument,
    IWebhooks,
    NoSample,
    NotReplayable,
    TooManySamples,
    UnknownAttempt,
)
from kazoo_bridge.interfaces.websockets import (
    MAX_BINDING_LENGTH,
    BindingUnavailable,
    HandshakeRejected,
    IEventStream,
    IStreamTransport,
    IWebsockets,
    StreamRequest,
)
from kazoo_bridge.legacy import resolve_former_name

__all__ = [
    "ALL_ACCOUNTS",
    "MAX_ACCOUNT_LIMIT",
    "MAX_BINDING_LENGTH",
    "UNTIL_ENABLED",
    "AccessedPath",
    "Account",
    "AccountFields",
    "AccountHasDescendants",
    "AccountLimits",
    "AccountNotLocal",
    "AccountRefused",
    "Attempt",
    "BindingPlan",
    "BindingRefused",
    "BindingUnavailable",
    "BusUnavailable",
    "CallChange",
    "CommandRefused",
    "Completion",
    "Delivery",
    "DeliveryResults",
    "EventHandler",
    "HandshakeRejected",
    "HookHealth",
    "HookType",
    "IAccountManager",
    "IAttemptStore",
    "IBindingCategory",
    "IBus",
    "ICallWatch",
    "ICalls",
    "IConsumer",
    "IDeliveryStore",
    "IDirectory",
    "IEventCategory",
    "IEventStream",
    "IHookStore",
    "ILimitStore",
    "IMissedEventStore",
    "INodes",
    "ISipUsernames",
    "IStreamTransport",
    "IWebhooks",
    "IWebsockets",
    "InvalidDocument",
    "InvalidMessage",
    "LoginRefused",
    "NoSample",
    "NotReplayable",
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
    "StreamRequest",
    "SubscriberEvent",
    "Suspension",
    "TokenRestrictions",
    "TooManyHooks",
    "TooManySamples",
    "Topic",
    "TopicFilter",
    "UnknownAttempt",
    "UnknownCall",
    "UnknownCommand",
    "Unroutable",
    "UserLogin",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Resolve the names of the first release; see `kazoo_bridge.legacy`."""
        return resolve_former_name(__name__, globals(), name)
