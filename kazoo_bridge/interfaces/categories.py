"""Event categories: the hooks an event fires and the subscriptions it reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from kazoo_bridge.interfaces.bus import Topic
    from kazoo_bridge.interfaces.directory import Account
    from kazoo_bridge.kazoo import Event

#: Stands for every account, where an account id, database or realm is expected.
ALL_ACCOUNTS = "*"


@frozen
class HookType:
    """A kind of hook that customers may create; `id` is what a hook document's ``hook`` names.

    `modifiers` is what the catalogue shows: a key of the hook's ``custom_data`` (``type``, ``action_command``) -> ``{"type": "array",
    "description", "items": [values]}`` or ``{"type": "object", "items": {value: {"friendly_name", "description"}}}``. A hook must choose
    one of the values for each key, unless the entry has a ``"default"``. `superadmin_values` are hidden from, and refused to, everybody but
    super-admins.
    `samples` are whole payloads, one for every kind of event that the hook can fire on.
    `aliases` maps hook ids of former times to the selectors they stand for, each to the values it admits.
    """

    id: str
    name: str
    description: str
    modifiers: Mapping[str, Any] = field(factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()
    superadmin_values: frozenset[str] = frozenset()
    aliases: Mapping[str, Mapping[str, frozenset[str]]] = field(factory=dict)


@frozen
class Occurrence:
    """Something that happened, as webhooks see it: which hooks it may fire, and what they send.

    `account_id` is None when the event named no account; `dialled` is then the number that was called (see `kazoo.plain_number`), if there
    was one, and the occurrence concerns the account that owns it. `selectors` are compared with the hook's own ``custom_data`` (`type`,
    `action_command`). `superadmin_only` occurrences reach only hooks of super-admins' accounts. `own_hook` is a hook document that the event itself
    brought (with its ``_id``): that hook is fired, and no stored one.
    """

    hook: str
    account_id: str | None
    payload: Mapping[str, Any]
    selectors: Mapping[str, str] = field(factory=dict)
    internal_leg: bool = False
    superadmin_only: bool = False
    inline_hook: Mapping[str, Any] | None = None
    called_number: str | None = None


class IEventCategory(Interface):
    """A kind of thing that happens on the switch. Adding one touches nothing but its own module."""

    name = Attribute("str: unique among categories, such as ``call``")
    hooks = Attribute("Sequence[HookType]: the hooks that this category can fire")

    def topics(hook: str) -> Iterable[Topic]:
        """What must be listened to for hooks of type `hook` (one of `hooks`) to fire."""

    def occurrences(event: Event) -> Iterable[Occurrence]:
        """What happened, read from an event on the exchange of one of the topics.

        Empty: nothing that concerns webhooks. Other categories' events on that exchange come along too.
        """


class BindingRefused(Exception):
    """A category knows the binding, but cannot listen to it; the text tells the client why."""


@frozen
class TopicFilter:
    """Where events for a subscription come from.

    `topic` is what the broker must send, and `pattern` (AMQP's wildcards) which of the category's own keys are meant; see `SubscriberEvent`.
    """

    topic: Topic
    pattern: str


@frozen
class BindingPlan:
    """What a subscription listens to. It must be asked for anew at `until` (Unix seconds; None: it stays the same)."""

    filters: tuple[TopicFilter, ...]
    until: float | None = None


@frozen
class SubscriberEvent:
    """An event as subscriptions see it.

    `key` is compared with the patterns of sources; `routing_key` is what subscribers are shown of the message's. `account_id` keeps the
    event from other accounts' subscriptions where the key does not (None: the key does). An event that names no account may say which
    number was `dialled` (see `kazoo.plain_number`), and how it would be told if it were its owner's.
    """

    key: str
    routing_key: str
    account_id: str | None = None
    called_number: str | None = None
    for_owner: Callable[[str], SubscriberEvent] | None = field(default=None, eq=False, repr=False)


class IBindingCategory(IEventCategory):
    """A category that websockets can subscribe to, too."""

    bindings = Attribute(
        "Sequence[str]: what clients can ask for, such as ``call.CHANNEL_CREATE.{CALL_ID}``, for the catalogue"
    )

    def resolve_binding(
        binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """What a subscription to `binding` listens to for `account` (None: all accounts); None: the binding is not this category's.

        `superadmin` says that a super-admin asks, `now` is in Unix seconds. Raises `BindingRefused`.
        """

    def subscriber_events(event: Event) -> Iterable[SubscriberEvent]:
        """Under which keys subscribers hear of an event on the exchange of one of the topics; none for other categories' events."""
