"""File descriptors: raises the process's limit, and fits the limits on connections into it.

A socket takes a descriptor. When the process has none left, requests to receivers and the storage fail as
well, so what outsiders can take is bounded below the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, fields_dict
from twisted.logger import Logger

from kazoo_bridge.config import Config, ConfigError, Http, Websockets

try:
    import resource
except ImportError:  # pragma: no cover - not a POSIX system
    resource = None  # type: ignore[assignment]

_log = Logger()

#: Descriptors for everything but clients and receivers: storage, broker, log, threads that resolve names,
#: listening sockets, and connections that are accepted only to be refused.
RESERVED_DESCRIPTORS = 256

#: Connections to receivers for each request in flight: the request's own, and one that is kept for the next.
DESCRIPTORS_PER_REQUEST = 2

#: What macOS permits where the hard limit is said to be infinite.
MACOS_LIMIT = 10_240

#: A limit on connections is not lowered below this.
MIN_CONNECTIONS = 16

#: The keys of limits on clients' connections: section and name.
_LIMITS = (
    ("websockets", "max_connections"),
    ("websockets", "max_unauthenticated"),
    ("http", "max_connections"),
)

_SECTIONS: Mapping[str, type] = {"websockets": Websockets, "http": Http}


def raise_limit() -> int | None:
    """Raise the process's soft limit of descriptors to the hard one.

    Returns the limit from then on, None where there is none.
    """
    if resource is None:  # pragma: no cover - not a POSIX system
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        raised = [limit for limit in (hard, MACOS_LIMIT) if limit > soft or limit == resource.RLIM_INFINITY]
        soft = next((limit for limit in raised if _set_limit(limit, hard)), soft)
    return None if soft == resource.RLIM_INFINITY else soft


def _set_limit(soft: int, hard: int) -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError):
        return False
    return True


def fit(config: Config, limit: int | None) -> Config:
    """Return the configuration with limits on connections for which `limit` descriptors are enough.

    Limits that have their default values, or are 0, share what the others leave. None of them exceeds its
    default; 0 becomes the rest. A lowered default is logged. `limit` None: as many as there may be.

    Raises `ConfigError` when other values exceed `limit`.
    """
    if limit is None:
        return config
    chosen = {key: _value(config, key) for key in _LIMITS if not _is_flexible(config, key)}
    flexible = [key for key in _LIMITS if key not in chosen]
    reserved = RESERVED_DESCRIPTORS + DESCRIPTORS_PER_REQUEST * config.webhooks.max_requests
    rest = limit - reserved - sum(chosen.values())
    if rest < MIN_CONNECTIONS * len(flexible):
        raise ConfigError([_too_few(config, chosen, flexible, limit)])
    for key, value in _share(rest, {key: _value(config, key) or rest for key in flexible}).items():
        default = _value(config, key)
        if default and value < default:
            _log.warn(
                "{key} is {value} instead of {default}: the process may open {limit} files only, see"
                " LimitNOFILE and ulimit -n",
                key=".".join(key),
                value=value,
                default=default,
                limit=limit,
            )
        config = _with_value(config, key, value)
    return config


def _is_flexible(config: Config, key: tuple[str, str]) -> bool:
    section, name = key
    return _value(config, key) in (0, fields_dict(_SECTIONS[section])[name].default)


def _value(config: Config, key: tuple[str, str]) -> int:
    section, name = key
    return int(getattr(getattr(config, section), name))


def _with_value(config: Config, key: tuple[str, str], value: int) -> Config:
    section, name = key
    changes: Any = {section: evolve(getattr(config, section), **{name: value})}
    return evolve(config, **changes)


def _share(rest: int, wanted: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Share `rest`: equal parts, except that what is not wanted of a part goes to the others."""
    shares = {}
    for position, key in enumerate(sorted(wanted, key=lambda one: wanted[one])):
        shares[key] = min(wanted[key], rest // (len(wanted) - position))
        rest -= shares[key]
    return shares


def _too_few(
    config: Config, chosen: Mapping[tuple[str, str], int], flexible: Sequence[tuple[str, str]], limit: int
) -> str:
    parts = [f"{'.'.join(key)} = {value}" for key, value in chosen.items()]
    parts += [f"at least {MIN_CONNECTIONS} for {'.'.join(key)}" for key in flexible]
    parts.append(f"{DESCRIPTORS_PER_REQUEST} x webhooks.max_requests = {config.webhooks.max_requests}")
    parts.append(f"{RESERVED_DESCRIPTORS} for storage, broker and log")
    needed = sum(chosen.values()) + MIN_CONNECTIONS * len(flexible)
    needed += RESERVED_DESCRIPTORS + DESCRIPTORS_PER_REQUEST * config.webhooks.max_requests
    return (
        f"{', '.join(parts)}: together {needed} open files, but the process may open {limit}; lower these, or"
        " raise LimitNOFILE of the unit (ulimit -n)"
    )
