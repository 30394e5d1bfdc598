"""The seams: what may be replaced, by what, and the plain values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from kazoo_bridge.kazoo import Event


# -- the bus ------------------------------------------------------------------------------------


@frozen
class Topic:
    """What to listen to: a routing-key pattern (AMQP's ``*`` and ``#``) on an exchange."""

    exchange: str
    pattern: str


@frozen
class Queue:
    """A queue as its consumer wants it.

    An empty ``name`` lets the bus choose one, which ends with the connection (exclusive). ``durable`` queues keep their
    messages while nobody consumes. ``prefetch`` bounds the unacknowledged deliveries (0: no bound).
    ``acknowledge`` false: a delivery counts as done when it is handed over.
    """

    name: str = ""
    topics: frozenset[Topic] = frozenset()
    durable: bool = False
    prefetch: int = 0
    acknowledge: bool = True


class Requeue(Exception):
    """A handler could not finish with an event; the bus shall hand it out again later."""


class Unroutable(Exception):
    """A mandatory message found no queue."""


class BusUnavailable(Exception):
    """The bus has no connection just now, or lost it before it confirmed."""


#: Called with each event. None, or a Deferred that fires: finished (acknowledged). A failure with
#: `Requeue`: handed out again. Any other failure: logged with the routing key, rejected, never seen again.
EventHandler = Callable[["Event"], "Deferred[None] | None"]


class IConsumer(Interface):
    """A running subscription to a queue."""

    start_count: int = Attribute(
        "How often it has begun to take deliveries. Between two beginnings, a queue that ends with the connection has missed messages."
    )

    def bind(topic: Topic) -> Deferred[None]:
        """Listen to `topic` too; fires once the bus has it (at once while disconnected: it is declared on connecting).

        Fails with `BusUnavailable` when the bus refuses it. While the bus does not answer it does not fire: cancel it to
        wait no longer, which does not undo it.
        """

    def unbind(topic: Topic) -> Deferred[None]:
        """Listen to `topic` no longer."""

    def when_running() -> Deferred[None]:
        """Fires as soon as deliveries are taken; fails with CancelledError if it is cancelled before."""

    def cancel() -> Deferred[None]:
        """Take no further deliveries; those already handed over may still finish and are acknowledged."""


class IBus(Interface):
    """Topics in, messages out, questions and their answers."""

    def consume(queue: Queue, handler: EventHandler) -> IConsumer:
        """Hand every message that reaches `queue` to `handler`, over every reconnection, until cancelled."""

    def publish(
        exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        """Send a message; fires when the broker has confirmed it.

        Fails with `BusUnavailable` without a connection and, when `mandatory`, with `Unroutable` if no queue took it.
        """

    def request(
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        enough: Callable[[Sequence[Event]], bool] | None = None,
    ) -> Deferred[list[Event]]:
        """Send a request with a fresh ``Msg-ID`` and ``Server-ID``; fires with the answers that came.

        It fires when `enough(answers)` says so, or after `timeout` seconds with whatever came.
        Fails with `BusUnavailable` when the request could not be sent.
        """

    def unavailable_reason() -> str | None:
        """Why the bus is not working just now, in words for an operator; None while it is consuming."""


# -- categories ---------------------------------------------------------------------------------


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


# -- who may do what ----------------------------------------------------------------------------


@frozen
class Account:
    """An account; `ancestors` runs from its parent to the top of the tree."""

    id: str
    name: str
    realm: str
    ancestors: tuple[str, ...] = ()
    superadmin: bool = False

    @property
    def reseller_id(self) -> str | None:
        """The nearest ancestor, which is responsible for the account."""
        return self.ancestors[0] if self.ancestors else None


@frozen
class Principal:
    """Whoever a valid token speaks for. `expires` is in Unix seconds, None: never."""

    account_id: str
    superadmin: bool = False
    expires: float | None = None


class IDirectory(Interface):
    """Who is who, and who may do what."""

    def authenticate(token: str) -> Deferred[Principal | None]:
        """The token's principal, or None when the token is unknown, expired or revoked."""

    def login(api_key: str) -> Deferred[tuple[str, Principal] | None]:
        """A fresh token for a valid API key, with its principal; None for any other key."""

    def account(account_id: str) -> Deferred[Account | None]:
        """The account, or None when there is none of that id."""

    def ancestors(account_id: str) -> tuple[str, ...] | None:
        """The account's ancestors, parent first; None when the account is not in memory: ask `account`, then again."""

    def descendants(account_id: str) -> Deferred[frozenset[str]]:
        """The ids of all accounts below this one, at any depth."""

    def is_superadmin(account_id: str) -> bool:
        """Whether the account is a super-admin's, as far as memory knows."""

    def account_for_number(number: str) -> str | None:
        """The account that owns a telephone number (see `kazoo.plain_number`), as far as memory knows."""

    def can_act_for(principal: Principal, account_id: str) -> Deferred[bool]:
        """Whether `principal` may act for the account: itself, a descendant of it, or anybody for super-admins."""


# -- stores -------------------------------------------------------------------------------------


@frozen
class Secret:
    """What a hook's requests are signed with, ``whsec_…``. `expires` is in Unix seconds, None: never."""

    value: str = field(repr=False)
    expires: float | None = None


@frozen
class StoredHook:
    """A hook document as it is kept. `revision` changes with every write, `document` is the public JSON object.

    `secrets` are no part of the document and are shown to nobody; the newest comes first.
    """

    id: str
    account_id: str
    document: Mapping[str, Any]
    revision: str
    created: int
    modified: int
    secrets: tuple[Secret, ...] = field(default=(), repr=False)


class RevisionConflict(Exception):
    """The document is no longer at the revision the caller has read."""


class TooManyHooks(Exception):
    """The account has `limit` hooks, and may have no more."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an account may have {limit} hooks")
        self.limit = limit


class StorageUnavailable(Exception):
    """The storage did not answer, or refused for reasons of its own; trying again later may work."""


class IHookStore(Interface):
    """Hook documents, by account and id."""

    def all() -> Deferred[list[StoredHook]]:
        """Every hook."""

    def by_ids(hook_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """Those of these hooks that there are, in any order."""

    def for_account(account_id: str) -> Deferred[list[StoredHook]]:
        """The account's hooks, in the order they were created."""

    def for_accounts(account_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """The hooks of all these accounts, in any order."""

    def get(account_id: str, hook_id: str) -> Deferred[StoredHook | None]:
        """One hook."""

    def create(
        account_id: str, document: Mapping[str, Any], secrets: tuple[Secret, ...] = ()
    ) -> Deferred[StoredHook]:
        """Keep a new hook under a fresh id (32 hexadecimal characters).

        Fails with `TooManyHooks` if the account has as many as it may have, on whichever node they were created.
        """

    def replace(
        hook: StoredHook, document: Mapping[str, Any], secrets: tuple[Secret, ...] | None = None
    ) -> Deferred[StoredHook]:
        """Put `document` in the place of `hook`, and `secrets` in the place of its own (None: it keeps them).

        Fails with `RevisionConflict` if that is not the current revision.
        """

    def delete(hook: StoredHook) -> Deferred[None]:
        """Remove the hook; fails with `RevisionConflict` if it is not the current revision."""

    def delete_of_account(account_id: str) -> Deferred[int]:
        """Remove every hook of an account, which has gone; fires with how many there were."""


@frozen
class Attempt:
    """One try at a delivery. `document` is what its account may see of it; `made` is in Unix seconds.

    `revision` is the hook's at that time; empty: the attempt does not count against the hook.
    """

    account_id: str
    hook_id: str
    revision: str
    failed: bool
    made_at: float
    document: Mapping[str, Any] = field(repr=False)


@frozen
class StoredAttempt:
    """An attempt as it is listed; `position` grows with every attempt."""

    position: int
    made_at: float
    document: Mapping[str, Any]


@frozen
class HookHealth:
    """When a hook was last successful and when it last failed, in Unix seconds (None: not yet), and how often."""

    last_success: float | None = None
    last_failure: float | None = None
    successes: int = 0
    failures: int = 0

    def merge(self, later: HookHealth) -> HookHealth:
        """This, and what came after it."""
        return HookHealth(
            self.last_success if later.last_success is None else later.last_success,
            self.last_failure if later.last_failure is None else later.last_failure,
            self.successes + later.successes,
            self.failures + later.failures,
        )


class IAttemptStore(Interface):
    """Attempts, and what they say about the health of hooks."""

    def add(made: Sequence[Attempt], health: Mapping[str, HookHealth]) -> Deferred[None]:
        """Keep these attempts, and what they add to these hooks' (by id) health."""

    def page(
        account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Deferred[list[StoredAttempt]]:
        """At most `count` attempts of the account (and hook), newest first, from below the position `before`."""

    def health(hook_ids: Collection[str]) -> Deferred[Mapping[str, HookHealth]]:
        """The health of these hooks; one that was never tried is not in it."""

    def failures(revisions: Mapping[str, str], since: float) -> Deferred[Mapping[str, int]]:
        """How often each of these hooks (id -> revision) failed since a time (Unix seconds), while it was at this revision."""

    def hooks_over_failure_limit(
        now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        """(account id, hook id, revision) of whatever failed at least `count` times in the last `window` seconds.

        An account's own limits go before these.
        """


@frozen
class Delivery:
    """One event on its way to one hook.

    `id` is the same for every attempt, and for the same event handed out again. `account_id` is the hook's. `event` is the hook's type and
    `payload` what the event says; the hook as it is at the time of an attempt makes a request of them. `own_hook` is the hook's document
    where the event brought it along. Deliveries to one hook with the same `ordering` are made one after another; empty: in any order.
    `tries` counts the attempts so far; `created` is in Unix seconds.
    """

    id: str
    hook_id: str
    account_id: str
    event: str
    event_id: str
    payload: Mapping[str, Any] = field(repr=False)
    created: float
    ordering_key: str = ""
    inline_hook: Mapping[str, Any] | None = field(default=None, repr=False)
    attempts: int = 0


@frozen
class StoredDelivery:
    """A delivery as it is listed. `status` is ``pending``, ``held`` (its hook is disabled) or ``dead``."""

    position: int
    delivery: Delivery
    status: str
    next_attempt: float
    changed_at: float
    reason: str


@frozen
class DeliveryResults:
    """What became of claimed deliveries, by id. Those in no collection keep their lease until it runs out.

    `again`: (id, tries, next attempt in Unix seconds, reason). `dead`: (id, tries, reason). `back`: ids given back untried.
    """

    delivered: Sequence[str] = ()
    retry: Sequence[tuple[str, int, float, str]] = ()
    dead: Sequence[tuple[str, int, str]] = ()
    released: Sequence[str] = ()


class IDeliveryStore(Interface):
    """Deliveries that could not be made at once."""

    def enqueue(waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
        """Keep deliveries, each with the time of its next attempt (None: it is dead) and the reason why it was not made.

        One that is kept already stays as it is.
        """

    def due_hooks(now: float) -> Deferred[list[str]]:
        """The ids of all hooks for which a pending delivery can be claimed."""

    def claim(owner: str, now: float, until: float, room: Mapping[str, int]) -> Deferred[list[Delivery]]:
        """Lease due deliveries to `owner` until a time: for each hook id at most so many, those that waited longest first.

        Of deliveries with the same ordering only the first is claimed.
        """

    def record_results(settlement: DeliveryResults, now: float) -> Deferred[None]:
        """Take note of what became of claimed deliveries."""

    def pause(hook_id: str) -> Deferred[None]:
        """Let the hook's deliveries wait, for it is disabled."""

    def resume(hook_id: str, now: float) -> Deferred[None]:
        """Let the hook's held deliveries go out."""

    def paused_hooks() -> Deferred[list[str]]:
        """The ids of all hooks with held deliveries."""

    def delete(hook_id: str) -> Deferred[None]:
        """The hook is no more: delete its deliveries."""

    def waiting_counts(hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        """How many deliveries of each of these hooks are pending or held; a hook without any is not in it."""

    def counts() -> Deferred[Mapping[str, int]]:
        """How many deliveries there are of each status: ``pending``, ``held`` and ``dead``."""

    def page(
        account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Deferred[list[StoredDelivery]]:
        """At most `count` deliveries of a status (``pending`` includes those held), newest first, from below the position `before`."""

    def retry(account_id: str, hook_id: str, delivery_id: str, now: float) -> Deferred[bool]:
        """Make a dead or waiting delivery due at once, with all its attempts before it; whether there is such a delivery."""

    def replay(account_id: str, hook_id: str | None, since: float, now: float) -> Deferred[int]:
        """Make everything of the hook (None: of the account) that has died since a time due at once; how many."""


#: The largest value of each of an account's own limits: a week, in milliseconds.
MAX_ACCOUNT_LIMIT = 7 * 86400 * 1000


@frozen
class AccountLimits:
    """An account's own limits for its hooks; None: the configuration's."""

    attempt_failure_count: int | None = None
    attempt_failure_expiry_ms: int | None = None


class ILimitStore(Interface):
    """Accounts' own limits."""

    def get(account_id: str) -> Deferred[AccountLimits]:
        """The account's own limits."""

    def put(account_id: str, limits: AccountLimits) -> Deferred[None]:
        """Keep these in the place of those it had."""

    def shortest_expiry_ms() -> Deferred[int | None]:
        """The shortest time for which an account's own limits count a failure; None when no account has such a limit."""


# -- live calls ---------------------------------------------------------------------------------


class UnknownCall(Exception):
    """The account has no live call of that id, as far as the switch answers."""


class CommandRefused(Exception):
    """A command is not one that can be sent; `errors` maps fields to rules, as REST's validation errors have them."""

    def __init__(self, errors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        super().__init__(
            "; ".join(
                f"{name}: {rule['message']}" for name, rules in errors.items() for rule in rules.values()
            )
        )
        self.errors = errors


@frozen
class CallChange:
    """A change of one account's picture of live calls.

    `kind` is ``snapshot`` (`calls` are all there are; everything known before is void), ``changed`` (`calls` are new or have changed),
    ``removed`` (`call_ids` have ended) or ``stale`` (the switch cannot be heard; what is known may be old until the next snapshot). Calls
    are in their public form (lower-case keys, ``call_id`` among them).
    """

    kind: str
    calls: Sequence[Mapping[str, Any]] = ()
    call_ids: Sequence[str] = ()


class ICallWatch(Interface):
    """Somebody's view of an account's live calls."""

    def stop() -> None:
        """Tell of no further changes."""


class ICalls(Interface):
    """Live calls: who is talking, and commands to them. The caller has checked the rights on the account."""

    def channels(account_id: str) -> Deferred[list[Mapping[str, Any]]]:
        """The account's live channels, in their public form, as the switches answer within the time-out.

        Fails with `BusUnavailable`.
        """

    def channel(account_id: str, call_id: str) -> Deferred[Mapping[str, Any] | None]:
        """One live channel of the account, in its public form; None when the account has none of that id. Fails with `BusUnavailable`."""

    def command(account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> Deferred[str]:
        """Send one command (``hangup``, ``transfer``, …) to a live call; fires with the answer's text, such as ``hangup initiated``.

        Fails with `CommandRefused`, with `UnknownCall` (and then nothing is sent), or with `BusUnavailable`.
        """

    def flow(account_id: str, call_id: str, flow: Mapping[str, Any]) -> Deferred[str]:
        """Send a whole metaflow (``module``, ``data``, ``children``) to a live call; as `command`."""

    def watch(account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        """Tell `watcher` of the account's calls: a snapshot as soon as there is one, then every change, until stopped.

        While the switch cannot be heard it is told ``stale``, even before the first snapshot.
        """
