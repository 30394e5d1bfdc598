"""Loads the configuration from a TOML file and the environment.

Each key of the file is also the environment variable ``KAZOO_BRIDGE__SECTION__KEY``, which overrides the
file. Lists are written there as in TOML, or separated by commas.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

import cattrs
from attrs import Attribute, fields
from twisted.logger import Logger

from kazoo_bridge.config.keys import EXPECTED, MAY_BE_TABLE
from kazoo_bridge.config.permissions import check_file, is_readable_by_all
from kazoo_bridge.config.schema import Config
from kazoo_bridge.json_numbers import to_integer

_log = Logger()

ENVIRONMENT_PREFIX = "KAZOO_BRIDGE__"

#: Variables that begin like this are meant for the configuration.
_OWN_PREFIX = "KAZOO_BRIDGE"

#: Variables of Kubernetes and Docker for services and containers whose names begin with ``kazoo-bridge``.
_OF_CONTAINERS = re.compile(
    r"KAZOO_BRIDGE_(?!_)(\w+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|NAME|ENV_\w+|PORT(_[0-9]+_(TCP|UDP)(_(ADDR|PORT|PROTO))?)?)"
)


class ConfigError(Exception):
    """The configuration is not valid; `errors` has one line per mistake, each of which names its key."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


def _strictly(kind: type, expected: str) -> Callable[[Any, Any], Any]:
    """Make a cattrs hook that accepts values of this very type and converts nothing."""

    def structure(value: Any, _: Any) -> Any:
        # type() and not isinstance(): true is no number.
        if type(value) is not kind or (kind is int and to_integer(value) is None):
            raise ValueError(f"expected {expected}, got {value!r}")
        return value

    return structure


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)


def _strings(value: Any, _: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a list of strings, got {value!r}")
    return tuple(value)


def _string_or_strings(value: Any, _: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    try:
        return _strings(value, _)
    except ValueError:
        raise ValueError(f"expected a string or a list of strings, got {value!r}") from None


def _numbers(value: Any, _: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(
        type(item) is int and to_integer(item) is not None for item in value
    ):
        raise ValueError(f"expected a list of whole numbers, got {value!r}")
    return tuple(value)


_converter = cattrs.Converter()
_converter.register_structure_hook(str, _strictly(str, "a string"))
_converter.register_structure_hook(int, _strictly(int, "a whole number"))
_converter.register_structure_hook(float, _number)
_converter.register_structure_hook(bool, _strictly(bool, "true or false"))
_converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strings)
_converter.register_structure_hook_func(lambda kind: kind == str | tuple[str, ...], _string_or_strings)
_converter.register_structure_hook_func(lambda kind: kind == tuple[int, ...], _numbers)


def _log_warning(text: str) -> None:
    _log.warn("{text}", text=text)


def load(
    path: str | None, environ: Mapping[str, str], on_warning: Callable[[str], None] = _log_warning
) -> Config:
    """Load the configuration.

    `path`: the TOML file; None: the defaults. `environ`: the environment, which overrides the file.
    `on_warning` is called with what is unwise, but no mistake.

    Raises `ConfigError` with every mistake that is found.
    """
    errors: list[str] = []
    tables = _read_file(path, on_warning) if path is not None else {}
    _add_environment(tables, environ, errors)
    hints = get_type_hints(Config)
    errors += [
        f"{name}: unknown section; known are {', '.join(sorted(hints))}"
        if isinstance(value, dict)
        else f"{name}: a key outside of a section"
        for name, value in tables.items()
        if name not in hints
    ]
    sections = {name: _section(name, kind, tables.get(name, {}), errors) for name, kind in hints.items()}
    config = None if errors else Config(**sections)
    if config is None or (errors := list(config.errors())):
        raise ConfigError(errors)
    return config


def _read_file(path: str, on_warning: Callable[[str], None]) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            check_file(path, status)
            tables = tomllib.loads(file.read().decode("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from None
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    secrets = _find_secrets(tables)
    if secrets and is_readable_by_all(path, status):
        on_warning(f"{path}: every user can read it, and the secrets of {', '.join(secrets)} (chmod o-r)")
    return tables


def _find_secrets(tables: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values are secrets, or URIs with a password."""
    hints = get_type_hints(Config)
    return [
        f"{section}.{attribute.name}"
        for section, kind in hints.items()
        if isinstance(table := tables.get(section), dict)
        for attribute in fields(kind)
        if not attribute.repr
        and any(
            value not in ("", attribute.default) and ("@" in value or "://" not in value)
            for value in _texts(table.get(attribute.name))
        )
    ]


def _texts(value: Any) -> list[str]:
    """Return a text, or the texts of a list."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _add_environment(tables: dict[str, Any], environ: Mapping[str, str], errors: list[str]) -> None:
    """Put the values of environment variables into the tables of their sections."""
    hints = get_type_hints(Config)
    for variable in sorted(environ):
        if not variable.startswith(_OWN_PREFIX) or _OF_CONTAINERS.fullmatch(variable):
            continue
        if not variable.startswith(ENVIRONMENT_PREFIX):
            errors.append(f"{variable}: no such key; expected {ENVIRONMENT_PREFIX}SECTION__KEY")
            continue
        section, _, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        kind = get_type_hints(hints[section]).get(name) if section in hints else None
        if kind is None:
            errors.append(f"{variable}: no such key; expected {ENVIRONMENT_PREFIX}SECTION__KEY")
        elif isinstance(table := tables.setdefault(section, {}), dict):
            table[name] = _from_text(environ[variable], kind)


def _from_text(text: str, kind: Any) -> Any:
    """Return the value that TOML would give; unsuitable text stays text, and the type check refuses it."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind is int:
        number = to_integer(text, accept_text=True)
        return text if number is None else number
    if kind is float:
        return float(text) if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,18})?", text) else text
    if kind is str or (kind == str | tuple[str, ...] and not re.search(r"[\[,]", text)):
        return text
    if text.lstrip().startswith("["):
        return _from_toml(text)
    items = [item.strip() for item in text.split(",") if item.strip()]
    return (
        [int(item) if re.fullmatch(r"[0-9]{1,18}", item) else item for item in items]
        if kind == tuple[int, ...]
        else items
    )


def _from_toml(text: str) -> Any:
    try:
        return tomllib.loads(f"list = {text}")["list"]
    except tomllib.TOMLDecodeError:
        return text


def _section(section: str, kind: type, table: Any, errors: list[str]) -> Any:
    """Make a section from its table, without the values that are not valid; add their errors to `errors`."""
    if not isinstance(table, dict):
        errors.append(f"{section}: expected a section, [{section}]")
        return None
    attributes: dict[str, Attribute[Any]] = {one.name: one for one in fields(kind)}
    hints = get_type_hints(kind)
    found = [
        f"{section}.{name}: unknown key; known are {', '.join(attributes)}"
        for name in table
        if name not in attributes
    ]
    values = {}
    for name, attribute in attributes.items():
        if name not in table:
            continue
        given = _as_list(table[name]) if attribute.metadata.get(MAY_BE_TABLE) else table[name]
        try:
            value = _converter.structure(given, hints[name])
        except ValueError as error:
            # The error repeats the value.
            secret = "expected a string" if hints[name] is str else "expected a list of strings"
            found.append(f"{section}.{name}: {error if attribute.repr else secret}")
            continue
        try:
            values[name] = _validated(attribute, value)
        except ValueError as error:
            found.append(f"{section}.{name}: {error}")
    read = kind(**values)
    if not found and (section_errors := getattr(read, "errors", None)):
        found += section_errors()
    errors += found
    return read


def _as_list(value: Any, path: str = "") -> Any:
    """Return a table as a list of ``key=value``, with dotted keys for tables in it; else the value itself."""
    if not isinstance(value, dict):
        return value
    items: list[Any] = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            items += _as_list(inner, f"{path}{key}.")
        else:
            items.append(f"{path}{key}={inner}")
    return items


def _validated(attribute: Attribute[Any], value: Any) -> Any:
    """Return the value. Raises ValueError, with the key's own text where its metadata has one."""
    if attribute.validator is not None:
        try:
            attribute.validator(None, attribute, value)
        except ValueError as error:
            expected = attribute.metadata.get(EXPECTED)
            raise ValueError(f"expected {expected}, got {value!r}" if expected else str(error)) from None
    return value
