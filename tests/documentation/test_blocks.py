"""What can be pasted from the pages: commands with options that exist, configurations that load."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped] # it has no types

from kazoo_bridge.cli import main
from kazoo_bridge.config import load
from tests.documentation.building import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*/*.md"))]

#: Files that commands of the pages make.
MADE_LATER = {"benchmarks/build", "tests/test_agent_category.py"}

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def blocks(*languages: str) -> Iterator[Any]:
    """Yield page and text of each block in a language, without its indentation."""
    for page in PAGES:
        for number, (indentation, language, text) in enumerate(_BLOCK.findall(page.read_text())):
            if language in languages:
                plain = re.sub(rf"^{indentation}", "", text, flags=re.MULTILINE)
                yield pytest.param(plain, id=f"{page.name}-{number}")


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each kazoo-bridge that a script calls."""
    for line in text.replace("\\\n", " ").splitlines():
        for found in re.findall(r"(?:^ *|\$\(| -- )(?:[\w./]*/)?kazoo-bridge( .*)?$", line):
            yield list(_words(found))


def _words(text: str) -> Iterator[str]:
    """Yield the words of a command until it ends."""
    lexer = shlex.shlex(text.replace("…", "X"), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set("();<>|&"):
            return
        yield word


def check_command(arguments: list[str]) -> None:
    """Let click parse the arguments without calling what they name. Raises `click.UsageError`."""
    command: click.Command = main
    # The names of its option for help are kept with the command.
    context = click.Context(command, info_name="kazoo-bridge", **main.context_settings)
    while isinstance(command, click.Group):
        command.make_parser(context).parse_args(arguments[:])
        _, arguments = command.make_parser(context).parse_args(arguments[:])[:2]
        if not arguments:
            return
        name, arguments = arguments[0], arguments[1:]
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.make_parser(context).parse_args(arguments)


def commands_of_blocks() -> Iterator[Any]:
    """Yield the arguments of all commands in blocks."""
    for parameters in blocks("sh", "shell", "console"):
        text = re.sub(r"^\$ ", "", parameters.values[0], flags=re.MULTILINE)
        for number, arguments in enumerate(command_lines(text)):
            yield pytest.param(arguments, id=f"{parameters.id}-{number}")


@pytest.mark.parametrize("arguments", list(commands_of_blocks()))
def test_a_command_of_a_block_can_be_parsed(arguments: list[str]) -> None:
    check_command(arguments)


def test_mistakes_are_found() -> None:
    for text in (
        "kazoo-bridge account make",
        "kazoo-bridge trace x --no-such",
        "kazoo-bridge hooks list --account",
    ):
        [arguments] = command_lines(text)
        with pytest.raises(click.UsageError):
            check_command(arguments)


@pytest.mark.parametrize("text", list(blocks("toml")))
def test_a_configuration_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    if "couchdb" in text and "[couchdb]" not in text:
        text += '\n[couchdb]\nuri = "http://127.0.0.1:15984"\n'
    file.write_text(text.replace("/etc/kazoo-bridge/plugins", str(tmp_path)))
    file.chmod(0o600)
    load(str(file), {})


@pytest.mark.parametrize("text", list(blocks("json")))
def test_json_is_json(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("text", list(blocks("yaml")))
def test_yaml_is_yaml(text: str) -> None:
    assert isinstance(yaml.safe_load(text), dict)


@pytest.mark.parametrize("text", list(blocks("sh", "shell")))
def test_a_block_is_a_script(text: str) -> None:
    result = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for targets in re.findall(r"(?:^ *|`)make ((?:[a-z-]+ ?)+)", page.read_text(), re.MULTILINE):
            for target in targets.split():
                assert re.search(rf"(?m)^{target}:", makefile), (page.name, target)


def test_files_of_the_checkout_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:etc|tools|benchmarks|tests|docs)/[\w./@-]+)`", page.read_text()):
            if "NAME" not in path and path not in MADE_LATER:
                assert (ROOT / path).exists(), (page.name, path)
