"""``kazoo-bridge trace``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from kazoo_bridge.cli.context import CliContext, check_account_id
from kazoo_bridge.cli.nodes import url_option, use_nodes
from kazoo_bridge.cli.output import json_option, print_json, utc_time
from kazoo_bridge.log_escaping import escape_for_log

#: An id has so many characters; a shorter one is in too many records.
MIN_ID_LENGTH, MAX_ID_LENGTH = 6, 255

#: The ids of an event, as they are shown, and their keys. The last one is also that of its spans' trace.
_IDS = (("msg-id", "msg_id"), ("call-id", "call_id"), ("event-id", "event_id"))


def _check_id(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not MIN_ID_LENGTH <= len(value) <= MAX_ID_LENGTH:
        raise click.BadParameter(f"expected {MIN_ID_LENGTH} to {MAX_ID_LENGTH} characters")
    return value


@click.command()
@click.argument("wanted", metavar="ID", callback=_check_id)
@click.option(
    "--account",
    metavar="ID",
    callback=check_account_id,
    help="Only events of this account, and its hooks.",
)
@url_option
@json_option
@click.pass_obj
def trace(context: CliContext, wanted: str, account: str | None, url: str | None, as_json: bool) -> None:
    """Show what happened to an event, a call or a delivery.

    ID is an event's Msg-ID, a Call-ID, or the id of an event or delivery, which receivers get as webhook-id.
    Nodes say which hooks fired, why others of the account did not, and how many sockets received the event;
    the storage has the attempts and what waits.
    """
    accounts = None if account is None else [account]
    traced = use_nodes(context, url, lambda nodes: nodes.trace(wanted, accounts))
    if as_json:
        print_json(traced)
        return
    for line in describe(traced):
        click.echo(escape_for_log(line))


def describe(traced: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines for people."""
    nodes = traced["nodes"]
    found = False
    for node in nodes:
        for event in node["events"]:
            found = True
            yield f"{utc_time(event.get('received'))}  {event.get('routing_key')}  on {node['node']}"
            ids = [f"{name} {event.get(key) or '-'}" for name, key in _IDS]
            yield f"  {'  '.join(ids)}"
            yield from _occurrences(event)
        for received in node["sockets"]:
            found = True
            yield (
                f"{utc_time(received.get('received'))}  {received.get('routing_key')}  on {node['node']}:"
                f" sent to {received.get('sockets')} sockets"
            )
    yield from _records(traced)
    if not (found or traced["attempts"] or traced["deliveries"]):
        yield f"nothing is known of {traced['id']}"
    for node in nodes:
        if node.get("problem"):
            yield f"{node['node']}: {node['problem']}"
            continue
        since = utc_time(node.get("kept_since"))
        kept = f"{node.get('kept_events', 0)} events since {since}" if since else "no events"
        yield f"{node['node']} keeps {kept}"
    if not nodes:
        yield "no node answers: only the storage was asked"


def _occurrences(event: Mapping[str, Any]) -> Iterator[str]:
    if not event.get("occurrences"):
        yield "  no type of hook is for it"
    for occurrence in _objects(event.get("occurrences")):
        chosen = occurrence.get("selectors")
        selectors = "".join(
            f" {name}={value}" for name, value in (chosen if isinstance(chosen, dict) else {}).items()
        )
        yield f"  {occurrence.get('hook')}{selectors} of account {occurrence.get('account_id') or '-'}"
        for fired in _objects(occurrence.get("fired")):
            delivered = utc_time(fired.get("delivered"))
            result = f"delivered {delivered}" if delivered else "see the attempts and deliveries below"
            yield f"    fired hook {fired.get('hook_id')}: delivery {fired.get('delivery_id')}, {result}"
        for silent in _objects(occurrence.get("not_fired")):
            yield f"    not hook {silent.get('hook_id')}: {silent.get('reason')}"
        if occurrence.get("note"):
            yield f"    {occurrence['note']}"


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list of a node, whatever it has sent."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _records(traced: Mapping[str, Any]) -> Iterator[str]:
    if traced["attempts"]:
        yield "attempts"
    for attempt in traced["attempts"]:
        answer = attempt.get("resp_status_code") or attempt.get("client_error") or attempt.get("reason") or ""
        yield (
            f"  {utc_time(attempt.get('made_at'))}  {attempt.get('result')}  {answer}"
            f"  hook {attempt.get('hook_id')}  delivery {attempt.get('delivery_id') or '-'}"
            f"  {str(attempt.get('method')).upper()} {attempt.get('uri')}"
        )
    if traced["deliveries"]:
        yield "deliveries"
    for delivery in traced["deliveries"]:
        due = utc_time(delivery.get("next_attempt"))
        yield (
            f"  {delivery.get('delivery_id')}  {delivery.get('status')}"
            f"  after {delivery.get('attempts')} attempts{f', next {due}' if due else ''}"
            f"  hook {delivery.get('hook_id')}: {delivery.get('reason')}"
        )
