"""Applies a changed configuration to the running node, as far as that is possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, fields
from twisted.logger import Logger

from kazoo_bridge.config import Config, ConfigError
from kazoo_bridge.rest.server import site
from kazoo_bridge.websockets import service as websockets

_log = Logger()

#: The keys that apply to a running node, by section. All others need a restart.
RELOADABLE: Mapping[str, Sequence[str]] = {
    "log": ("level", "levels", "format", "access_log"),
    "http": site.RELOADABLE,
    "websockets": websockets.RELOADABLE,
}


@define(eq=False)
class ConfigReloader:
    """Reads the configuration again and applies it, or refuses it as a whole.

    `config` is the configuration in use. `load` reads the new one, `read_certificates` those of the TLS
    endpoints and returns what applies them; both raise `ConfigError`. `appliers` apply a configuration whose
    other keys are those in use. `on_reloaded` is called after a configuration that was not refused.
    """

    config: Config
    _load: Callable[[], Config]
    _read_certificates: Callable[[], Callable[[], None]]
    _appliers: Sequence[Callable[[Config], None]] = field(factory=tuple)
    _on_reloaded: Callable[[], object] = lambda: None

    def reload(self) -> None:
        """Apply what has changed, and log the applied keys and the keys that need a restart."""
        try:
            read = self._load()
            use_certificates = self._read_certificates()
        except ConfigError as error:
            for line in error.errors:
                _log.error("configuration refused, the present one stays in use reason={reason}", reason=line)
            return
        changed = changed_keys(self.config, read)
        applied = [key for key in changed if is_reloadable(key)]
        self.config = with_keys(self.config, read, applied)
        for apply in self._appliers:
            apply(self.config)
        use_certificates()
        _log.info("configuration reloaded changed={keys}", keys=", ".join(applied) or "nothing")
        for key in changed:
            if not is_reloadable(key):
                _log.warn("{key} has changed and needs a restart", key=key)
        self._on_reloaded()

    def require_no_restart(self) -> None:
        """Read the configuration, and raise `ConfigError` if it has an error or needs a restart."""
        changed = changed_keys(self.config, self._load())
        if keys := [key for key in changed if not is_reloadable(key)]:
            raise ConfigError([f"{key} has changed and needs a restart" for key in keys])


def is_reloadable(key: str) -> bool:
    """Return whether a key, as ``section.name``, applies to a running node."""
    section, _, name = key.partition(".")
    return name in RELOADABLE.get(section, ())


def changed_keys(old: Config, new: Config) -> list[str]:
    """Return the keys with different values, as ``section.name``."""
    return [
        f"{section.name}.{key.name}"
        for section in fields(Config)
        for key in fields(type(getattr(old, section.name)))
        if getattr(getattr(old, section.name), key.name) != getattr(getattr(new, section.name), key.name)
    ]


def with_keys(old: Config, new: Config, keys: Sequence[str]) -> Config:
    """Return `old` with the values that `new` has for `keys`."""
    changes: dict[str, dict[str, Any]] = {}
    for key in keys:
        section, _, name = key.partition(".")
        changes.setdefault(section, {})[name] = getattr(getattr(new, section), name)
    sections: Any = {}
    for section, values in changes.items():
        present: Any = getattr(old, section)
        sections[section] = evolve(present, **values)
    return evolve(old, **sections)
