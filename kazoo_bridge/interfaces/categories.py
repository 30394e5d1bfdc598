"""Event categories: the hooks that an event fires, and the websocket subscriptions that it reaches.

A category is one object. For webhooks it provides `IEventCategory`; for websockets, too, it provides
`IBindingCategory`. ``docs/how-to/add-a-category.md`` builds one step by step, and `kazoo_bridge.testing`
tests one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Attribute, Interface

from kazoo_bridge.legacy import accept_former_names
from kazoo_bridge.static_frozen import statically_frozen

if TYPE_CHECKING:
    from kazoo_bridge.interfaces.bus import Topic
    from kazoo_bridge.interfaces.directory import Account
    from kazoo_bridge.kazoo import Event

#: The version of what categories use: these interfaces and values, and `kazoo_bridge.kazoo`. Each addition
#: increments it. 1: the names of the first release; 2: the present names, ``api_version`` and ``exchanges``.
API_VERSION = 2

#: The oldest version whose categories still work.
OLDEST_API_VERSION = 1

#: Stands for every account, where an account id, database or realm is expected.
ALL_ACCOUNTS = "*"


@frozen
class HookType:
    """A kind of hook that customers may create.

    `id`: what a hook document's key ``hook`` contains; unique among all categories.

    `name` and `description`: texts for the catalogue (``GET /v2/webhooks``).

    `modifiers`: the keys of the hook's ``custom_data`` that select events (``type``, ``action``), as the
    catalogue shows them. An entry is ``{"type": "array", "description": …, "items": [values]}`` or ``{"type":
    "object", "items": {value: {"friendly_name": …, "description": …}}}``. A hook must choose one of the
    values of each key, unless the entry has a ``"default"``.

    `samples`: whole payloads, one for every kind of event that the hook can fire on.

    `superadmin_values`: values of the modifiers that the catalogue lists for super-admins only; any account
    may choose them.

    `aliases`: former hook ids, each with the selectors that it stands for: ``{"inbound_fax": {"type":
    frozenset({"inbound_fax"})}}``.

    Example::

        HookType(
            "queue_entered",
            "Queue Entered",
            "A call has begun to wait in a queue",
            samples=({"call_id": "9c1e7f40", "queue_id": "a4e19c7d"},),
        )
    """

    id: str
    name: str
    description: str
    modifiers: Mapping[str, Any] = field(factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()
    superadmin_values: frozenset[str] = frozenset()
    aliases: Mapping[str, Mapping[str, frozenset[str]]] = field(factory=dict)


@accept_former_names
@statically_frozen
class Occurrence:
    """Something that happened, as webhooks see it: which hooks it fires, and what they send.

    `hook`: the id of one of the category's hooks.

    `account_id`: the account that the occurrence belongs to. Its hooks are fired, and those of its ancestors
    that include sub-accounts. None: the event names no account; see `called_number`.

    `payload`: what the hooks send, a JSON object. KAZOO's payloads have lower-case keys
    (`kazoo_bridge.kazoo.normalize`).

    `selectors`: values that the hook's ``custom_data`` is compared with, by key: ``{"type": "user"}``.

    `internal_leg`: True for a leg inside the switch; hooks with ``include_internal_legs`` false do not fire.

    `superadmin_only`: True: only hooks of super-admins' accounts fire.

    `inline_hook`: a hook document that the event contains (with its ``_id``). That hook fires, and no stored
    one.

    `called_number`: for an event without an account the called number, as
    `kazoo_bridge.kazoo.called_number` writes it. The occurrence belongs to the account that owns the number,
    if there is one.

    `addition`: True for an event that KAZOO lacks, although it has the hook; hooks for ``all`` do not fire.

    `wants_reseller`: True to add ``reseller_id``, the reseller of `account_id`, to `payload`, which must be a
    dict that belongs to this occurrence alone.

    Example: ``Occurrence("queue_entered", account_id, normalize(event.body))``.
    """

    hook: str
    account_id: str | None
    payload: Mapping[str, Any]
    selectors: Mapping[str, str] = field(factory=dict)
    internal_leg: bool = False
    superadmin_only: bool = False
    inline_hook: Mapping[str, Any] | None = None
    called_number: str | None = None
    addition: bool = False
    wants_reseller: bool = False


class IEventCategory(Interface):
    """A kind of event on the switch. Adding one touches only its own module.

    `name`, `hooks` and the topics of each hook are read once, at start-up. A category may have two more
    attributes:

    ``exchanges``: the exchanges of its topics that are not KAZOO's, with their types (``topic`` or
    ``direct``): ``{"acdc": "topic"}``. The node declares them like KAZOO's, neither durable nor auto-delete;
    an exchange that exists with other arguments is used as it is.

    ``api_version``: the `API_VERSION` that it was written for. A node that does not know the version leaves
    the category out, with the reason.
    """

    name = Attribute("str: unique among all categories, such as ``call``.")
    hooks = Attribute("Sequence[HookType]: the hooks that this category can fire.")

    def topics(hook: str) -> Iterable[Topic]:
        """Return the topics whose messages hooks of type `hook` need, at least one.

        `hook` is the id of one of `hooks`. Example: ``[Topic("callevt", "acdc.queue.ENTERED.*")]``.
        """

    def occurrences(event: Event) -> Iterable[Occurrence]:
        """Return what the event means for webhooks; nothing: no hook fires.

        The method is called for every event on the exchanges of `topics`, also for those of other categories:
        return nothing for them. It runs in the reactor's thread for each event, so it must not block.
        """


def declared_exchanges(category: object) -> Mapping[str, str]:
    """Return the optional ``exchanges`` of a category: the types of exchanges by name; empty: it has none."""
    exchanges: Mapping[str, str] = getattr(category, "exchanges", {})
    return exchanges


class BindingRefused(Exception):
    """A category knows the binding, but cannot subscribe to it. The client receives the text."""


@frozen
class TopicFilter:
    """One source of events for a subscription.

    `topic`: what the node's queue is bound to at the broker.

    `pattern`: the AMQP pattern that `SubscriberEvent.key` must match.

    Both may be the same if the routing key contains the account's id. Otherwise the category makes keys of
    its own that contain it.

    Clients choose ids, and a topic is work for the broker: leave ids to `pattern`, so that a topic serves all
    subscriptions of one account, or of one node, to a kind of event.

    `all_accounts`: for a `topic` of one account, the topic with the same events of all accounts. A node whose
    clients have subscribed for many accounts uses that one instead.

    `more_topics`: further topics whose events have keys that `pattern` matches. One filter with nine topics
    costs a subscription a ninth of nine filters. Use one tuple for all plans: its identity counts.

    `segments_of_key`: how many segments at the beginning of ``subscription_key`` clients receive from the key
    of the event, not from `pattern`, which has wildcards there that are no wildcards of the binding.

    Example: ``TopicFilter(Topic("callevt", "call.*.*"), "call.ACCOUNT_ID.*.c1")``.
    """

    topic: Topic
    pattern: str
    all_accounts: Topic | None = None
    more_topics: tuple[Topic, ...] = ()
    segments_of_key: int = 0

    @property
    def topics(self) -> tuple[Topic, ...]:
        """`topic` and `more_topics`."""
        return self.topic, *self.more_topics


@accept_former_names
@frozen
class BindingPlan:
    """What a subscription to a binding gets.

    `filters`: the sources of its events.

    `until`: the time in Unix seconds at which the binding must be resolved again, because its filters change
    (those with a monthly database). None: they never change.

    `shown`: the binding as clients see it, in replies, events and lists. None: as it was requested.

    Example: ``BindingPlan((TopicFilter(topic, topic.pattern),))``.
    """

    filters: tuple[TopicFilter, ...]
    until: float | None = None
    shown: str | None = None


@accept_former_names
@frozen
class SubscriberEvent:
    """An event as websocket subscriptions see it.

    `key`: the key that the patterns of `TopicFilter` are compared with. It contains the account's id, or the
    account's database or realm, so that no account receives the events of another.

    `routing_key`: the routing key that clients see.

    `account_id`: restricts the event to the subscriptions of that account. None: `key` contains the account.

    `called_number`: for an event without an account the called number (see `Occurrence`).

    `for_owner`: makes the subscriber event for the id of the account that owns `called_number`.

    Example: ``SubscriberEvent(event.routing_key, event.routing_key)``.
    """

    key: str
    routing_key: str
    account_id: str | None = None
    called_number: str | None = None
    for_owner: Callable[[str], SubscriberEvent] | None = field(default=None, eq=False, repr=False)


class IBindingCategory(IEventCategory):
    """A category that websockets can subscribe to.

    `bindings` is read once, at start-up. The catalogue and the documentation show it.
    """

    bindings = Attribute(
        "Sequence[str]: bindings that clients can subscribe to, such as ``call.CHANNEL_CREATE.{CALL_ID}``."
    )

    def resolve_binding(
        binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """Return what a subscription to `binding` gets; None: the binding belongs to another category.

        `account`: the account whose events the client subscribes to; None: those of all accounts.
        `superadmin`: True if a super-admin subscribes. `now`: the time, in Unix seconds.

        Raises `BindingRefused` for a binding of this category that is not supported.
        """

    def subscriber_events(event: Event) -> Iterable[SubscriberEvent]:
        """Return the keys under which subscriptions receive the event; nothing: no subscription does.

        The method is called for every event on the exchanges of the topics that clients have subscribed to,
        also for those of other categories.
        """
