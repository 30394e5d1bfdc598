"""Reads the file and the environment. Each key of the TOML is also the environment variable ``KAZOO_BRIDGE__SECTION__KEY``, which wins;
lists are written there as in TOML, or separated by commas.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import cattrs
from attrs import Attribute, fields

from kazoo_bridge.config.schema import Config
from kazoo_bridge.json_numbers import to_integer

ENVIRONMENT_PREFIX = "KAZOO_BRIDGE__"


class ConfigError(Exception):
    """The configuration cannot be used; `mistakes` has one line per mistake, each naming its key."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.errors = tuple(mistakes)


def _strictly(kind: type, words: str) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        # type() and not isinstance(): true is no number.
        if type(value) is not kind or (kind is int and to_integer(value) is None):
            raise ValueError(f"expected {words}, got {value!r}")
        return value

    return structure


def _strings(value: Any, _: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a list of strings, got {value!r}")
    return tuple(value)


def _numbers(value: Any, _: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(
        type(item) is int and to_integer(item) is not None for item in value
    ):
        raise ValueError(f"expected a list of whole numbers, got {value!r}")
    return tuple(value)


_converter = cattrs.Converter()
_converter.register_structure_hook(str, _strictly(str, "a string"))
_converter.register_structure_hook(int, _strictly(int, "a whole number"))
_converter.register_structure_hook(bool, _strictly(bool, "true or false"))
_converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strings)
_converter.register_structure_hook_func(lambda kind: kind == tuple[int, ...], _numbers)


def load(path: str | None, environ: Mapping[str, str]) -> Config:
    """Read the file (None: all defaults) and the environment.

    Raises `ConfigError` with every mistake found.
    """
    mistakes: list[str] = []
    given = _read_file(path) if path is not None else {}
    _add_environment(given, environ, mistakes)
    hints = get_type_hints(Config)
    mistakes += [
        f"{name}: unknown section; known are {', '.join(sorted(hints))}"
        if isinstance(value, dict)
        else f"{name}: a key outside of a section"
        for name, value in given.items()
        if name not in hints
    ]
    sections = {name: _section(name, kind, given.get(name, {}), mistakes) for name, kind in hints.items()}
    if mistakes:
        raise ConfigError(mistakes)
    return Config(**sections)


def _read_file(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from None


def _add_environment(given: dict[str, Any], environ: Mapping[str, str], mistakes: list[str]) -> None:
    hints = get_type_hints(Config)
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        section, _, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
        kind = get_type_hints(hints[section]).get(name) if section in hints else None
        if kind is None:
            mistakes.append(f"{variable}: no such key; expected {ENVIRONMENT_PREFIX}SECTION__KEY")
        elif isinstance(table := given.setdefault(section, {}), dict):
            table[name] = _from_text(environ[variable], kind)


def _from_text(text: str, kind: Any) -> Any:
    """What the TOML would have said; text that does not fit stays text, for the type check to refuse."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind is int:
        number = to_integer(text, accept_text=True)
        return text if number is None else number
    if kind is str:
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


def _section(section: str, kind: type, table: Any, mistakes: list[str]) -> Any:
    if not isinstance(table, dict):
        mistakes.append(f"{section}: expected a section, [{section}]")
        return None
    known: dict[str, Attribute[Any]] = {one.name: one for one in fields(kind)}
    mistakes += [
        f"{section}.{name}: unknown key; known are {', '.join(known)}" for name in table if name not in known
    ]
    hints = get_type_hints(kind)
    values = {}
    mistakes_before = len(mistakes)
    for name in known:
        if name not in table:
            continue
        try:
            values[name] = _converter.structure(table[name], hints[name])
            if check := known[name].metadata["check"]:
                check(values[name])
        except ValueError as error:
            secret = not known[name].repr and not isinstance(table[name], str)
            mistakes.append(f"{section}.{name}: {'expected a string' if secret else error}")
    read = kind(**values)
    if len(mistakes) == mistakes_before and (more := getattr(read, "mistakes", None)):
        mistakes += more()
    return read
