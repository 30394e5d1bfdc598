"""Checks categories that are not built in: what they do wrong is reported, and harms no other category."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from attrs import define, evolve, frozen
from twisted.logger import Logger
from zope.interface import implementer
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
    API_VERSION,
    OLDEST_API_VERSION,
    Account,
    BindingPlan,
    BindingRefused,
    HookType,
    IBindingCategory,
    IEventCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
    declared_exchanges,
)
from kazoo_bridge.kazoo import EXCHANGES, MAX_SHORT_STRING_BYTES, Event

#: Ids that stand for the hooks of KAZOO's events, and of all events, in documents of hooks.
RESERVED_HOOK_IDS = frozenset({"all", "everything"})

#: The types of exchanges that a category may declare.
EXCHANGE_TYPES = ("topic", "direct")

T = TypeVar("T")

_log = Logger()

#: Receives each failure of a category: its name, the routing key or binding, and the exception.
OnFailure = Callable[[str, str, BaseException], None]


class InvalidPlugin(Exception):
    """The category does not fulfil its interface; the text says how."""


def verify(category: IEventCategory, others: Iterable[IEventCategory]) -> None:
    """Raise `InvalidPlugin` unless the category provides its interface and differs from `others`.

    The version of the interface comes first: one for another version may lack what this version needs. Its
    name and the ids of its hooks must not be in use, its exchanges must not have another type there, and no
    hook, nor another name of one, may be one of `RESERVED_HOOK_IDS`.
    """
    others = list(others)
    try:
        _check_api_version(getattr(category, "api_version", API_VERSION))
        verifyObject(IBindingCategory if IBindingCategory.providedBy(category) else IEventCategory, category)
        name, hook_ids = category.name, {hook.id for hook in category.hooks}
        hook_names = hook_ids.union(*(hook.aliases for hook in category.hooks))
        exchanges = {**declared_exchanges(category)}
    except InvalidPlugin:
        raise
    except Invalid as error:
        raise InvalidPlugin(" ".join(str(error).split())) from None
    except (Exception, SystemExit) as error:
        raise InvalidPlugin(f"reading its name, hooks and exchanges raised {_describe(error)}") from None
    if any(other.name == name for other in others):
        raise InvalidPlugin(f"another category is already named {name!r}")
    if reserved := RESERVED_HOOK_IDS & hook_names:
        raise InvalidPlugin(f"the hook id {min(reserved)!r} means many hooks: choose another one")
    used = {hook.id for other in others for hook in other.hooks}
    if clashes := sorted(map(str, used & hook_ids)):
        raise InvalidPlugin(f"hook id {clashes[0]!r} belongs to another category")
    taken = {name: kind for other in others for name, kind in declared_exchanges(other).items()}
    for exchange, kind in exchanges.items():
        if taken.get(exchange, kind) != kind:
            raise InvalidPlugin(f"exchange {exchange!r} has the type {taken[exchange]} for another category")


def validated(category: IEventCategory, on_failure: OnFailure | None = None) -> ValidatedCategory:
    """Return the category, which `verify` has accepted, with a check of everything that it returns.

    `on_failure` is called for each failure; None: failures are logged (the 1st, 10th, 100th, …).

    Raises `InvalidPlugin` if the name, hooks, topics or bindings are not valid.
    """
    try:
        manifest = _read_manifest(category)
    except InvalidPlugin:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidPlugin(f"reading its hooks and topics raised {_describe(error)}") from None
    kind = ValidatedBindingCategory if IBindingCategory.providedBy(category) else ValidatedCategory
    return kind(category, manifest, on_failure or _FailureLog().record)


@frozen
class _Manifest:
    """The attributes of a category, read once."""

    name: str
    hooks: tuple[HookType, ...]
    exchanges: Mapping[str, str]
    topics: Mapping[str, tuple[Topic, ...]]
    bindings: tuple[str, ...]


@define
class _FailureLog:
    """Logs the 1st, 10th, 100th, … failure of one category, so that an event storm does not flood the log."""

    _count: int = 0

    def record(self, name: str, subject: str, error: BaseException) -> None:
        self._count += 1
        if str(self._count).strip("0") == "1":
            _log.failure(
                "event category failed category={name} subject={subject} count={count}: {reason}",
                name=name,
                subject=subject,
                count=self._count,
                reason=_describe(error),
            )


@implementer(IEventCategory)
@define(eq=False)
class ValidatedCategory:
    """Returns what the category returns if that is valid, otherwise nothing."""

    _category: Any
    _manifest: _Manifest
    _on_failure: OnFailure

    @property
    def name(self) -> str:
        """See `IEventCategory`."""
        return self._manifest.name

    @property
    def hooks(self) -> Sequence[HookType]:
        """See `IEventCategory`."""
        return self._manifest.hooks

    @property
    def exchanges(self) -> Mapping[str, str]:
        """See `IEventCategory`."""
        return self._manifest.exchanges

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return self._manifest.topics[hook]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""

        def read() -> list[Occurrence]:
            return [_check_occurrence(one, self._manifest) for one in self._category.occurrences(event)]

        return self._call(read, event.routing_key) or []

    def _call(self, read: Callable[[], T], subject: str) -> T | None:
        try:
            return read()
        except (Exception, SystemExit) as error:
            self._on_failure(self.name, subject, error)
            return None


@implementer(IBindingCategory)
class ValidatedBindingCategory(ValidatedCategory):
    """A `ValidatedCategory` with bindings."""

    @property
    def bindings(self) -> Sequence[str]:
        """See `IBindingCategory`."""
        return self._manifest.bindings

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`."""

        def read() -> BindingPlan | BindingRefused | None:
            try:
                plan: BindingPlan | None = self._category.resolve_binding(binding, account, superadmin, now)
            except BindingRefused as refusal:
                return refusal
            return None if plan is None else _check_plan(plan)

        result = self._call(read, binding)
        if isinstance(result, BindingRefused):
            raise result
        return result

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""

        def read() -> list[SubscriberEvent]:
            return [_check_subscriber_event(one) for one in self._category.subscriber_events(event)]

        return self._call(read, event.routing_key) or []


# -- checks: each returns its argument, or raises `InvalidPlugin` --------------------------------------------


def _read_manifest(category: IEventCategory) -> _Manifest:
    name, hooks = category.name, tuple(category.hooks)
    _require_type(name, str)
    exchanges = _check_exchanges(declared_exchanges(category))
    for hook in hooks:
        _check_hook(hook)
    topics = {hook.id: tuple(_check_topic(topic) for topic in category.topics(hook.id)) for hook in hooks}
    if not all(topics.values()):
        raise InvalidPlugin("each of its hooks needs at least one topic")
    bindings = tuple(category.bindings) if IBindingCategory.providedBy(category) else ()
    for binding in bindings:
        _require_type(binding, str)
    return _Manifest(name, hooks, exchanges, topics, bindings)


def _check_api_version(version: Any) -> None:
    if type(version) is not int or not OLDEST_API_VERSION <= version <= API_VERSION:
        raise InvalidPlugin(
            f"api_version: expected a number from {OLDEST_API_VERSION} to {API_VERSION}, got {version!r}: "
            "it was written for another version of kazoo_bridge"
        )


def _check_exchanges(exchanges: Any) -> Mapping[str, str]:
    _require_type(exchanges, Mapping)
    for name, kind in exchanges.items():
        _require_type(name, str)
        if kind not in EXCHANGE_TYPES:
            raise InvalidPlugin(f"exchange {name!r}: expected the type topic or direct, got {kind!r}")
        if not name or name.startswith("amq.") or len(name.encode()) > MAX_SHORT_STRING_BYTES:
            raise InvalidPlugin(
                f"exchange {name[:40]!r}: expected a name of 1 to {MAX_SHORT_STRING_BYTES} bytes that does "
                "not begin with 'amq.'"
            )
        if EXCHANGES.get(name, kind) != kind:
            raise InvalidPlugin(f"exchange {name!r} is KAZOO's and has the type {EXCHANGES[name]}")
    return dict(exchanges)


def _check_hook(hook: Any) -> HookType:
    _require_type(hook, HookType)
    for text in (hook.id, hook.name, hook.description):
        _require_type(text, str)
    for value in (
        *hook.samples,
        hook.modifiers,
        *hook.modifiers.values(),
        hook.aliases,
        *hook.aliases.values(),
    ):
        _require_type(value, Mapping)
    try:
        # The catalogue shows these.
        orjson.dumps([dict(hook.modifiers), [dict(sample) for sample in hook.samples]])
    except TypeError as error:
        raise InvalidPlugin(
            f"modifiers or samples of the hook {hook.id!r} cannot be written as JSON: {error}"
        ) from None
    for modifier in hook.modifiers.values():
        _require_type(modifier.get("items", ()), list | tuple | Mapping)
    checked: HookType = hook
    return checked


def _check_topic(topic: Any) -> Topic:
    _require_type(topic, Topic)
    for text in (topic.exchange, topic.pattern):
        _require_type(text, str)
        if len(text.encode()) > MAX_SHORT_STRING_BYTES:
            raise InvalidPlugin(f"a topic has more than {MAX_SHORT_STRING_BYTES} bytes: {text[:40]!r}…")
    checked: Topic = topic
    return checked


def _check_occurrence(occurrence: Any, manifest: _Manifest) -> Occurrence:
    _require_type(occurrence, Occurrence)
    if occurrence.hook not in manifest.topics:
        raise InvalidPlugin(f"an occurrence is for the hook {occurrence.hook!r}, which is not one of its own")
    for value, kinds in (
        (occurrence.account_id, str | None),
        (occurrence.called_number, str | None),
        (occurrence.payload, Mapping),
        (occurrence.selectors, Mapping),
        (occurrence.inline_hook, Mapping | None),
        (occurrence.addition, bool),
        (occurrence.wants_reseller, bool),
    ):
        _require_type(value, kinds)
    checked: Occurrence = occurrence
    # The reseller is added to the payload, which may be the plugin's.
    return evolve(checked, payload={**checked.payload}) if checked.wants_reseller else checked


def _check_plan(plan: Any) -> BindingPlan:
    _require_type(plan, BindingPlan)
    _require_type(plan.until, float | int | None)
    _require_type(plan.shown, str | None)
    for topic_filter in plan.filters:
        _require_type(topic_filter, TopicFilter)
        _check_topic(topic_filter.topic)
        _require_type(topic_filter.pattern, str)
        _require_type(topic_filter.segments_of_key, int)
        _require_type(topic_filter.more_topics, tuple)
        for topic in topic_filter.more_topics:
            _check_topic(topic)
        every = topic_filter.all_accounts
        if every is not None and _check_topic(every).exchange != topic_filter.topic.exchange:
            raise InvalidPlugin(f"all_accounts is on another exchange than the topic: {every.exchange!r}")
    checked: BindingPlan = plan
    return checked


def _check_subscriber_event(event: Any) -> SubscriberEvent:
    _require_type(event, SubscriberEvent)
    for value, kinds in ((event.key, str), (event.routing_key, str), (event.account_id, str | None)):
        _require_type(value, kinds)
    checked: SubscriberEvent = event
    return checked


def _require_type(value: Any, kinds: Any) -> None:
    if not isinstance(value, kinds):
        raise InvalidPlugin(f"expected {getattr(kinds, '__name__', kinds)}, got {type(value).__name__}")


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")
