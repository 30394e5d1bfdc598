"""Summarises warnings and errors that repeat, such as those of each request while the storage is away."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import ILogObserver, LogEvent, LogLevel
from twisted.python.reflect import safe_str
from zope.interface import implementer

#: Seconds after which events that were held back are summarised.
REPEAT_INTERVAL = 60.0

#: Events of one kind in an interval that are written, before further ones are only counted.
MAX_REPEATS = 5

#: Kinds of events that are distinguished at a time; beyond it events differ by namespace, level and template.
MAX_KINDS = 1000

_LEVELS = (LogLevel.warn, LogLevel.error, LogLevel.critical)


@define
class _Repeats:
    """How often an event occurred in this interval, and the latest that was held back."""

    count: int = 0
    latest: LogEvent | None = None


@implementer(ILogObserver)
@define(eq=False)
class RepeatFilter:
    """Passes the first events of one kind to `on_event`, then one summary for each interval.

    Events are of one kind if they have the same namespace, level, template, exception and values, apart from
    ids (values whose names end with ``_id``) and the time. Events below the level warn always pass.
    """

    _clock: IReactorTime
    _on_event: Callable[[LogEvent], None]
    _kinds: dict[Hashable, _Repeats] = field(init=False, factory=dict, repr=False)
    _timer: IDelayedCall | None = field(init=False, default=None)

    def __call__(self, event: LogEvent) -> None:
        """Pass or count an event."""
        if event.get("log_level") not in _LEVELS:
            self._on_event(event)
            return
        kind = _kind(event)
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind = _wider_kind(event)
        repeats = self._kinds.setdefault(kind, _Repeats())
        repeats.count += 1
        if self._timer is None:
            self._timer = self._clock.callLater(REPEAT_INTERVAL, self._summarise)
        if repeats.count <= MAX_REPEATS:
            self._on_event(event)
        else:
            repeats.latest = event

    def stop(self) -> None:
        """Write the summaries that are due later, and leave no delayed call. More events may follow."""
        if self._timer is not None:
            self._timer.cancel()
            self._summarise()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _summarise(self) -> None:
        self._timer = None
        kinds, self._kinds = self._kinds, {}
        for kind, repeats in kinds.items():
            if repeats.latest is None:
                continue
            # What goes on is not written anew in the next interval.
            self._kinds[kind] = _Repeats(count=MAX_REPEATS)
            self._on_event(_summary(repeats.latest, repeats.count - MAX_REPEATS))
        if self._kinds:
            self._timer = self._clock.callLater(REPEAT_INTERVAL, self._summarise)


def _kind(event: LogEvent) -> Hashable:
    failure: Any = event.get("log_failure")
    error = (failure.type, safe_str(failure.value)) if failure is not None else None
    values = tuple(
        (name, safe_str(value))
        for name, value in sorted(event.items())
        # `time` is that of twisted.python.log.
        if name != "time" and not name.startswith("log_") and not name.endswith("_id")
    )
    return *_wider_kind(event), error, values


def _wider_kind(event: LogEvent) -> tuple[Hashable, ...]:
    """Return a kind that values do not tell apart: the code has a bounded number of them."""
    return event.get("log_namespace"), event.get("log_level"), event.get("log_format")


def _summary(latest: LogEvent, count: int) -> LogEvent:
    summary = {key: value for key, value in latest.items() if key not in ("log_failure", "failure")}
    template = latest.get("log_format")
    if isinstance(template, str):
        summary["log_format"] = f"{template} (the latest of {{repeated}} more like it)"
        summary["repeated"] = count
    return summary
