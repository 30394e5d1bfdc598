"""The reference says what the code does: paths of REST, options of commands, defaults of settings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from os.path import commonpath
from typing import Any

import click
import pytest

from kazoo_bridge.cli import main
from kazoo_bridge.cli.command import COMMANDS
from kazoo_bridge.config import Config
from kazoo_bridge.pivot.point import PIVOT_SCHEMA
from kazoo_bridge.plugins.discovery import built_in_categories
from kazoo_bridge.rest.openapi.document import make_document
from kazoo_bridge.webhooks.hooks.hook_document import document_schema
from kazoo_bridge.webhooks.hooks.hook_secrets import SECRET_PROPERTIES
from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.server.frames import CloseCode
from tests.documentation.building import ROOT

REFERENCE = ROOT / "docs" / "reference"

DOCUMENT = make_document(document_schema([]), SECRET_PROPERTIES, PIVOT_SCHEMA)

#: Files of pages.
NOT_LISTED = {"/console/settings.json", "/console/{}", "/docs/{}", "/docs/api/{}"}

#: Defaults that are written in words.
IN_WORDS = {"websockets.allowed_origins", "webhooks.retry_schedule_s", "egress.denied_networks"}


def bare(path: str) -> str:
    """Return a path without the names of its parameters, a query, and a slash at its end."""
    return re.sub(r"\{\w+\}", "{}", path.partition("?")[0]).rstrip("/") or "/"


PATHS = {bare(path): set(operations) for path, operations in DOCUMENT["paths"].items()}


def documented_paths() -> Iterator[tuple[list[str], set[str]]]:
    """Yield the paths of each row of the table of REST, and their methods."""
    table = (REFERENCE / "rest.md").read_text().partition("## Paths")[2].partition("\n\nEvery path")[0]
    paths: list[str] = []
    for first, methods in re.findall(r"^\| (`/[^|]*|) ?\| ([A-Z, ]+) \|", table, re.MULTILINE):
        if first:
            whole, *others = (bare(code) for code in re.findall(r"`([^`]+)`", first))
            paths = [whole, *(completed(other, whole) for other in others)]
        yield paths, {method.lower() for method in methods.split(", ")}


def completed(ending: str, whole: str) -> str:
    """Return the path that `…/x` means after another path: the one that has most in common with that."""
    found = [path for path in PATHS if path.endswith(ending.removeprefix("…"))]
    assert found, ending
    return max(found, key=lambda path: (len(commonpath([path, whole])), -len(path)))


def test_every_operation_is_in_the_table_of_paths() -> None:
    listed = [(path, methods) for paths, methods in documented_paths() for path in paths]
    for path, methods in PATHS.items():
        if path not in NOT_LISTED:
            assert methods <= set().union(*(some for one, some in listed if one == path)), path


def test_the_table_of_paths_has_operations_only() -> None:
    rows = list(documented_paths())
    assert len(rows) > 50
    for paths, methods in rows:
        assert set(paths) <= PATHS.keys()
        assert methods <= set().union(*(PATHS[path] for path in paths)), paths


def error_words(schema: Any) -> Iterator[str]:
    """Yield the words of errors in a part of the OpenAPI document."""
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        message = properties.get("message") if isinstance(properties, Mapping) else None
        if isinstance(message, Mapping):
            yield from message.get("enum", [message.get("const")])
        for value in schema.values():
            yield from error_words(value)
    elif isinstance(schema, Sequence) and not isinstance(schema, str):
        for value in schema:
            yield from error_words(value)


def test_the_words_of_errors() -> None:
    page = (REFERENCE / "rest.md").read_text()
    listed = set(re.findall(r"^\| \d+ \| `([^`]+)`", page, re.MULTILINE))
    words = {word for word in error_words(DOCUMENT) if word is not None}
    assert len(words) > 12
    assert words <= listed


def test_hooks_and_bindings() -> None:
    hooks = (REFERENCE / "hooks.md").read_text().partition("\n\nThe value of a modifier")[0]
    protocol = (REFERENCE / "websocket-protocol.md").read_text()
    bindings = protocol.partition("### Bindings")[2].partition("## unsubscribe")[0]
    for category in built_in_categories():
        for hook_type in category.hooks:
            assert f"`{hook_type.id}`" in hooks
        # The types of notifications and documents are in the catalogue.
        for binding in getattr(category, "bindings", ()):
            first, *rest = binding.split(".")
            words = [] if first in ("notification", "object") else rest
            assert f"`{first}." in bindings
            assert all(re.search(rf"(?<!\w){re.escape(word)}", bindings) for word in words), binding


def test_actions_and_close_codes_of_websockets() -> None:
    page = (REFERENCE / "websocket-protocol.md").read_text()
    for code in CloseCode:
        assert re.search(rf"^\| (?:\d+, )*{code.value}\b", page, re.MULTILINE), code
    actions = re.findall(r'"(\w+)": self\._', inspect.getsource(Actions))
    assert {"subscribe", "command", "noop"} <= set(actions)
    for action in actions:
        assert f'"action": "{action}"' in page or re.search(rf"`{action}`", page), action


def commands() -> Mapping[str, click.Command]:
    """Return all commands by their words, such as `account create`."""
    found: dict[str, click.Command] = {}
    for name, lazy in COMMANDS.items():
        command = lazy.load()
        single = {name: command}
        found |= {f"{name} {one}": sub for one, sub in getattr(command, "commands", {}).items()} or single
    return found


def documented_options(name: str) -> set[str]:
    """Return the options in the syntax of a command, and in the text of its rows."""
    page = (REFERENCE / "command.md").read_text()
    rows = [row for row in page.splitlines() if re.match(rf"\| (?:\[`|.*`){name}\b", row)]
    return set(re.findall(r"--[a-z][a-z-]*", " ".join(rows)))


@pytest.mark.parametrize(("name", "command"), list(commands().items()), ids=list(commands()))
def test_the_options_of_a_command_are_documented(name: str, command: click.Command) -> None:
    options = {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--")
    }
    assert options <= documented_options(name)


def test_documented_options_exist() -> None:
    existing = {
        name
        for command in (main, *commands().values())
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    page = (REFERENCE / "command.md").read_text()
    table = page[: page.index("## Asking running nodes")]
    assert set(re.findall(r"--[a-z][a-z-]*", table)) <= existing | {"--help"}


def forms(value: Any) -> set[str]:
    """Return how a default may be written."""
    if isinstance(value, bool):
        return {str(value).lower(), f"`{str(value).lower()}`"}
    if value in ("", ()):
        return {"empty", "none", "`[]`"}
    return {f"{value:g}", str(value)} if isinstance(value, int | float) else {f"`{value}`"}


def test_the_defaults_of_the_configuration() -> None:
    page = (REFERENCE / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| (.*?) \|", page, re.MULTILINE)
    assert len(rows) > 100
    for section, key, default in rows:
        if f"{section}.{key}" not in IN_WORDS:
            assert default in forms(getattr(getattr(Config(), section), key)), (section, key)


def test_the_glossary_is_sorted_and_has_the_words_that_contributors_shall_use() -> None:
    glossary = (REFERENCE / "glossary.md").read_text().partition("{glossary}\n")[2].partition("```")[0]
    terms = [re.sub(r" \(KAZOO\)$", "", line) for line in re.findall(r"^\S.*$", glossary, re.MULTILINE)]
    assert terms == sorted(terms)
    names = re.findall(
        r"Names are the usual ones of the field: (.*?)\. Constants",
        (ROOT / "CONTRIBUTING.md").read_text(),
        re.DOTALL,
    )
    assert set(" ".join(names[0].split()).split(", ")) <= set(terms)
