from __future__ import annotations

import subprocess

import click

from kazoo_bridge.cli import main as kazoo_bridge
from tools.man_page import render


@click.group()
@click.option("--where", metavar="FILE", help="The file. Uses 'a\\b…' otherwise.")
def group() -> None:
    """Do things. And more.

    'Twas a second paragraph.
    """


@group.group()
def inner() -> None:
    """Inner things."""


@inner.command()
@click.argument("name")
@click.option("--count", type=int, required=True, help="How many.")
def act() -> None:
    """Act on a thing."""


@group.command(hidden=True)
def secret() -> None:
    """Hidden."""


def test_a_page_has_all_commands_with_their_options() -> None:
    lines = render(group, "tool", "1.2").splitlines()
    assert lines[0] == '.TH "TOOL" 1 "" "tool 1.2" "User Commands"'
    assert r"tool \- Do things" in lines
    assert r"\&'Twas a second paragraph." in lines
    assert r"The file. Uses 'a\eb\[u2026]' otherwise." in lines
    section = lines[lines.index('.SS "inner act"') :]
    assert section[1:4] == [r"\fBtool inner act\fR [OPTIONS] NAME", ".PP", "Act on a thing."]
    assert section[4:7] == [".TP", r"\fB\-\-count INTEGER\fR", "How many. [required]"]
    assert not any("Hidden" in line or "secret" in line for line in lines)


def test_the_page_of_the_command_names_every_command() -> None:
    page = render(kazoo_bridge, "kazoo-bridge", "0")
    for name, command in kazoo_bridge.commands.items():
        names = [f"{name} {one}" for one in command.commands] if isinstance(command, click.Group) else [name]
        for one in names:
            assert f'.SS "{one}"'.replace("-", r"\-") in page


def test_roff_understands_the_page() -> None:
    page = render(kazoo_bridge, "kazoo-bridge", "0").encode()
    result = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8"], input=page, capture_output=True, timeout=60, check=True
    )
    assert result.stderr == b""
