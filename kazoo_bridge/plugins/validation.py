"""Categories that are not our own, held to what the interface says: what they do wrong is reported and harms nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from attrs import define, field, frozen
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.interfaces import (
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
)
from kazoo_bridge.kazoo import MAX_SHORT_STRING_BYTES, Event

T = TypeVar("T")

_log = Logger()


class InvalidPlugin(Exception):
    """The category is not what the interface says; the text says in which way."""


def validated(category: IEventCategory) -> ValidatedCategory:
    """The category behind a guard. Raises `InvalidPlugin` when it cannot be used at all."""
    outline = _ask_plugin("asking for its hooks and topics", lambda: _read_manifest(category))
    return (
        ValidatedBindingCategory(category, outline)
        if IBindingCategory.providedBy(category)
        else ValidatedCategory(category, outline)
    )


@frozen
class _Manifest:
    """What a category says of itself, asked for once."""

    name: str
    hooks: tuple[HookType, ...]
    topics: Mapping[str, tuple[Topic, ...]]
    bindings: tuple[str, ...]


@implementer(IEventCategory)
@define(eq=False)
class ValidatedCategory:
    """Gives what the category gives if that is sound; else nothing, and the log says so: of the 1st, 10th, 100th, … time."""

    _category: Any
    _manifest: _Manifest
    _failures: int = field(init=False, default=0)

    @property
    def name(self) -> str:
        """See `IEventCategory`."""
        return self._manifest.name

    @property
    def hooks(self) -> Sequence[HookType]:
        """See `IEventCategory`."""
        return self._manifest.hooks

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return self._manifest.topics[hook]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""

        def read() -> list[Occurrence]:
            return [self._occurrence(one) for one in self._category.occurrences(event)]

        return self._call(read, event.routing_key) or []

    def _occurrence(self, one: Any) -> Occurrence:
        _require_type(one, Occurrence)
        if one.hook not in self._manifest.topics:
            raise InvalidPlugin(f"an occurrence is for the hook {one.hook!r}, which is not one of its own")
        checks = (
            (one.account_id, str | None),
            (one.called_number, str | None),
            (one.payload, Mapping),
            (one.selectors, Mapping),
            (one.inline_hook, Mapping | None),
        )
        for value, kinds in checks:
            _require_type(value, kinds)
        found: Occurrence = one
        return found

    def _call(self, work: Callable[[], T], subject: str) -> T | None:
        try:
            return work()
        except (Exception, SystemExit) as error:
            self._failures += 1
            if str(self._failures).strip("0") == "1":
                _log.failure(
                    "event category {name} fails on {subject}, {count} times so far: {reason}",
                    name=self.name,
                    subject=subject,
                    count=self._failures,
                    reason=_describe(error),
                )
            return None


@implementer(IBindingCategory)
class ValidatedBindingCategory(ValidatedCategory):
    """The same for what websockets need."""

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
                found: BindingPlan | None = self._category.resolve_binding(binding, account, superadmin, now)
            except BindingRefused as refusal:
                return refusal
            return None if found is None else _listening(found)

        answer = self._call(read, binding)
        if isinstance(answer, BindingRefused):
            raise answer
        return answer

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        return (
            self._call(
                lambda: [_telling(one) for one in self._category.subscriber_events(event)], event.routing_key
            )
            or []
        )


# -- what is sound ------------------------------------------------------------------------------


def _read_manifest(category: IEventCategory) -> _Manifest:
    name, hooks = category.name, tuple(category.hooks)
    _require_type(name, str)
    for hook in hooks:
        _hook(hook)
    topics = {hook.id: tuple(_topic(one) for one in category.topics(hook.id)) for hook in hooks}
    if not all(topics.values()):
        raise InvalidPlugin("each of its hooks needs at least one topic")
    bindings = tuple(category.bindings) if IBindingCategory.providedBy(category) else ()
    for binding in bindings:
        _require_type(binding, str)
    return _Manifest(name, hooks, topics, bindings)


def _hook(hook: Any) -> None:
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


def _topic(topic: Any) -> Topic:
    _require_type(topic, Topic)
    for text in (topic.exchange, topic.pattern):
        _require_type(text, str)
        if len(text.encode()) > MAX_SHORT_STRING_BYTES:
            raise InvalidPlugin(f"a topic has more than {MAX_SHORT_STRING_BYTES} bytes: {text[:40]!r}…")
    found: Topic = topic
    return found


def _listening(listening: Any) -> BindingPlan:
    _require_type(listening, BindingPlan)
    _require_type(listening.until, float | int | None)
    for source in listening.filters:
        _require_type(source, TopicFilter)
        _topic(source.topic)
        _require_type(source.pattern, str)
    found: BindingPlan = listening
    return found


def _telling(telling: Any) -> SubscriberEvent:
    _require_type(telling, SubscriberEvent)
    for value, kinds in ((telling.key, str), (telling.routing_key, str), (telling.account_id, str | None)):
        _require_type(value, kinds)
    found: SubscriberEvent = telling
    return found


def _require_type(value: Any, kinds: Any) -> None:
    if not isinstance(value, kinds):
        raise InvalidPlugin(f"expected {getattr(kinds, '__name__', kinds)}, got {type(value).__name__}")


def _ask_plugin(what: str, question: Callable[[], T]) -> T:
    try:
        return question()
    except InvalidPlugin:
        raise
    except (Exception, SystemExit) as error:
        raise InvalidPlugin(f"{what} raised {_describe(error)}") from None


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")
