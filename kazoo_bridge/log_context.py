"""Fields that every log line of one piece of work has, such as the id of the request that is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from twisted.logger import ILogObserver, LogEvent
from zope.interface import provider

_NO_FIELDS: Mapping[str, str] = {}
_fields: ContextVar[Mapping[str, str]] = ContextVar("kazoo_bridge_log_fields", default=_NO_FIELDS)


@contextmanager
def log_fields(**fields: str) -> Iterator[None]:
    """Add `fields` to the log events of the block, and of the coroutines that are started in it."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def add_to_all_lines(**fields: str) -> None:
    """Add `fields` to all log events from now on, for those that tell this process from others."""
    _fields.set({**_fields.get(), **fields})


@provider(ILogObserver)
def add_log_fields(event: LogEvent) -> None:
    """Add the fields of the present context to `event`, in place, where it does not have them itself."""
    fields = {name: value for name, value in _fields.get().items() if name not in event}
    template = event.get("log_format")
    if fields and isinstance(template, str):
        event.update(fields)
        event["log_format"] = " ".join([template, *(f"{name}={{{name}}}" for name in fields)])
