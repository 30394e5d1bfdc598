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
    BindingRefused,
    HookType,
    IBindingCategory,
    IEventCategory,
    Listening,
    Occurrence,
    Source,
    Telling,
    Topic,
)
from kazoo_bridge.kazoo import Event

T = TypeVar("T")

_log = Logger()

#: AMQP's own limit, in bytes.
_LONGEST_PATTERN = 255


class Unusable(Exception):
    """The category is not what the interface says; the text says in which way."""


def guarded(category: IEventCategory) -> GuardedCategory:
    """The category behind a guard. Raises `Unusable` when it cannot be used at all."""
    outline = _asked("asking for its hooks and topics", lambda: _outline(category))
    return GuardedBindingCategory(category, outline) if IBindingCategory.providedBy(category) else GuardedCategory(category, outline)


@frozen
class _Outline:
    """What a category says of itself, asked for once."""

    name: str
    hooks: tuple[HookType, ...]
    topics: Mapping[str, tuple[Topic, ...]]
    bindings: tuple[str, ...]


@implementer(IEventCategory)
@define(eq=False)
class GuardedCategory:
    """Gives what the category gives if that is sound; else nothing, and the log says so: of the 1st, 10th, 100th, … time."""

    _category: Any
    _outline: _Outline
    _troubles: int = field(init=False, default=0)

    @property
    def name(self) -> str:
        """See `IEventCategory`."""
        return self._outline.name

    @property
    def hooks(self) -> Sequence[HookType]:
        """See `IEventCategory`."""
        return self._outline.hooks

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return self._outline.topics[hook]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""

        def read() -> list[Occurrence]:
            return [self._occurrence(one) for one in self._category.occurrences(event)]

        return self._tried(read, event.routing_key) or []

    def _occurrence(self, one: Any) -> Occurrence:
        _must_be(one, Occurrence)
        if one.hook not in self._outline.topics:
            raise Unusable(f"an occurrence is for the hook {one.hook!r}, which is not one of its own")
        checks = (
            (one.account_id, str | None),
            (one.dialled, str | None),
            (one.payload, Mapping),
            (one.selectors, Mapping),
            (one.own_hook, Mapping | None),
        )
        for value, kinds in checks:
            _must_be(value, kinds)
        found: Occurrence = one
        return found

    def _tried(self, work: Callable[[], T], subject: str) -> T | None:
        try:
            return work()
        except (Exception, SystemExit) as error:
            self._troubles += 1
            if str(self._troubles).strip("0") == "1":
                _log.failure(
                    "event category {name} fails on {subject}, {count} times so far: {reason}",
                    name=self.name,
                    subject=subject,
                    count=self._troubles,
                    reason=_words(error),
                )
            return None


@implementer(IBindingCategory)
class GuardedBindingCategory(GuardedCategory):
    """The same for what websockets need."""

    @property
    def bindings(self) -> Sequence[str]:
        """See `IBindingCategory`."""
        return self._outline.bindings

    def listening(self, binding: str, account: Account | None, superadmin: bool, now: float) -> Listening | None:
        """See `IBindingCategory`."""

        def read() -> Listening | BindingRefused | None:
            try:
                found: Listening | None = self._category.listening(binding, account, superadmin, now)
            except BindingRefused as refusal:
                return refusal
            return None if found is None else _listening(found)

        answer = self._tried(read, binding)
        if isinstance(answer, BindingRefused):
            raise answer
        return answer

    def tellings(self, event: Event) -> Iterable[Telling]:
        """See `IBindingCategory`."""
        return self._tried(lambda: [_telling(one) for one in self._category.tellings(event)], event.routing_key) or []


# -- what is sound ------------------------------------------------------------------------------


def _outline(category: IEventCategory) -> _Outline:
    name, hooks = category.name, tuple(category.hooks)
    _must_be(name, str)
    for hook in hooks:
        _hook(hook)
    topics = {hook.id: tuple(_topic(one) for one in category.topics(hook.id)) for hook in hooks}
    if not all(topics.values()):
        raise Unusable("each of its hooks needs at least one topic")
    bindings = tuple(category.bindings) if IBindingCategory.providedBy(category) else ()
    for binding in bindings:
        _must_be(binding, str)
    return _Outline(name, hooks, topics, bindings)


def _hook(hook: Any) -> None:
    _must_be(hook, HookType)
    for text in (hook.id, hook.name, hook.description):
        _must_be(text, str)
    for value in (*hook.samples, hook.modifiers, *hook.modifiers.values(), hook.aliases, *hook.aliases.values()):
        _must_be(value, Mapping)
    try:
        # The catalogue shows these.
        orjson.dumps([dict(hook.modifiers), [dict(sample) for sample in hook.samples]])
    except TypeError as error:
        raise Unusable(f"modifiers or samples of the hook {hook.id!r} cannot be written as JSON: {error}") from None


def _topic(topic: Any) -> Topic:
    _must_be(topic, Topic)
    for text in (topic.exchange, topic.pattern):
        _must_be(text, str)
        if len(text.encode()) > _LONGEST_PATTERN:
            raise Unusable(f"a topic has more than {_LONGEST_PATTERN} bytes: {text[:40]!r}…")
    found: Topic = topic
    return found


def _listening(listening: Any) -> Listening:
    _must_be(listening, Listening)
    _must_be(listening.until, float | int | None)
    for source in listening.sources:
        _must_be(source, Source)
        _topic(source.topic)
        _must_be(source.pattern, str)
    found: Listening = listening
    return found


def _telling(telling: Any) -> Telling:
    _must_be(telling, Telling)
    for value, kinds in ((telling.key, str), (telling.routing_key, str), (telling.account_id, str | None)):
        _must_be(value, kinds)
    found: Telling = telling
    return found


def _must_be(value: Any, kinds: Any) -> None:
    if not isinstance(value, kinds):
        raise Unusable(f"expected {getattr(kinds, '__name__', kinds)}, got {type(value).__name__}")


def _asked(what: str, question: Callable[[], T]) -> T:
    try:
        return question()
    except Unusable:
        raise
    except (Exception, SystemExit) as error:
        raise Unusable(f"{what} raised {_words(error)}") from None


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")
