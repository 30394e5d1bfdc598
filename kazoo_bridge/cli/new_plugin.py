"""``kazoo-bridge plugins new``: writes an event category and its tests to start from."""

from __future__ import annotations

import os
import re
from keyword import iskeyword
from pathlib import Path
from string import Template

import click

from kazoo_bridge.interfaces import API_VERSION

#: Names of categories: they are part of names of Python modules, hook ids and routing keys.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")

_CATEGORY = Template('''\
"""The events of $exchange: hooks `${name}_event`, bindings `$name.*`. See docs/how-to/add-a-category.md."""

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    BindingPlan,
    BindingRefused,
    HookType,
    IBindingCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.kazoo import is_account_id, normalize

#: The names of the events; their routing keys are $name.NAME.ACCOUNT_ID.
EVENTS = ["begun", "ended"]


@implementer(IPlugin, IBindingCategory)
@frozen
class ${title}Category:
    name = "$name"
    api_version = $api_version
    exchanges = {"$exchange": "topic"}
    bindings = (*(f"$name.{event}" for event in EVENTS), "$name.*")
    hooks = (
        HookType(
            "${name}_event",
            "$title",
            "Something happens to $title",
            modifiers={
                "event": {
                    "type": "array",
                    "description": "The name of the event",
                    "items": EVENTS,
                    "default": "all",
                },
            },
            samples=tuple({"event_name": event, "id": "9c1e7f40"} for event in EVENTS),
        ),
    )

    def topics(self, hook):
        return [Topic("$exchange", "$name.*.*")]

    def occurrences(self, event):
        if event.body.get("Event-Category") != "$name" or event.name not in EVENTS:
            return []
        account_id = event.body.get("Account-ID")
        return [
            Occurrence(
                "${name}_event",
                account_id if is_account_id(account_id) else None,
                normalize(event.body),
                selectors={"event": event.name},
            )
        ]

    def resolve_binding(self, binding, account, superadmin, now):
        first, _, name = binding.partition(".")
        if first != "$name":
            return None
        if name not in (*EVENTS, "*"):
            raise BindingRefused(f"event {name} not supported")
        pattern = f"$name.{name}.{'*' if account is None else account.id}"
        return BindingPlan((TopicFilter(Topic("$exchange", pattern), pattern),))

    def subscriber_events(self, event):
        # The routing key contains the account's id: no account receives the events of another.
        return [SubscriberEvent(event.routing_key, event.routing_key)]


$name = ${title}Category()
''')

_TEST = Template("""\
from attrs import evolve
from ${name}_category import $name

from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event

OTHER_ACCOUNT = evolve(EXAMPLE_ACCOUNT, id="b" * 32)


def make_${name}_event(name, account=EXAMPLE_ACCOUNT):
    return make_event(
        "$exchange",
        f"$name.{name}.{account.id}",
        {"Event-Category": "$name", "Event-Name": name, "Account-ID": account.id, "ID": "9c1e7f40"},
    )


def test_an_event_fires_its_hook():
    (occurrence,) = CategoryHarness($name).publish(make_${name}_event("begun"))
    assert (occurrence.hook, occurrence.account_id) == ("${name}_event", EXAMPLE_ACCOUNT.id)
    assert occurrence.selectors == {"event": "begun"}
    assert occurrence.payload["id"] == "9c1e7f40"


def test_subscribers_receive_the_events_of_their_account():
    harness = CategoryHarness($name)
    client = harness.subscribe("$name.*")
    harness.publish(make_${name}_event("begun", OTHER_ACCOUNT), make_${name}_event("ended"))
    assert [frame["name"] for frame in client.frames] == ["ended"]


def test_a_node_would_accept_the_category():
    assert CategoryHarness($name).problems(make_${name}_event("begun"), make_${name}_event("ended")) == []
""")


@click.command()
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def new(name: str, folder: Path) -> None:
    """Write a category NAME and its tests to start from, below FOLDER.

    The files are plugins/NAME_category.py and tests/test_NAME_category.py; no file is overwritten.
    """
    if not _NAME.fullmatch(name) or iskeyword(name):
        expected = "up to 31 of a-z, 0-9 and _, a letter first, no word of Python"
        raise click.ClickException(f"NAME: expected {expected}, got {name!r}")
    title = "".join(word.capitalize() for word in name.split("_"))
    values = {"name": name, "title": title, "exchange": name, "api_version": API_VERSION}
    files = {
        folder / "plugins" / f"{name}_category.py": _CATEGORY.substitute(values),
        folder / "tests" / f"test_{name}_category.py": _TEST.substitute(values),
    }
    for file in files:
        if file.exists():
            raise click.ClickException(f"{file}: it exists already")
    for file, text in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            raise click.ClickException(f"{file}: cannot be written: {error.strerror}") from None
    click.echo("To run the tests (needs pytest):")
    where = "" if os.path.samefile(folder, ".") else f"cd {folder} && "
    click.echo(f"  {where}PYTHONPATH=plugins python3 -m pytest tests")
    for file in files:
        click.echo(str(file))
