"""``kazoo-bridge hooks``: the hooks of the storage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from attrs import evolve
from sqlalchemy import Connection

from kazoo_bridge.cli.context import CliContext, account_filter, check_account_id
from kazoo_bridge.cli.hook_failures import failures, flush
from kazoo_bridge.cli.output import json_option, print_json, print_list
from kazoo_bridge.interfaces import StoredHook
from kazoo_bridge.kazoo import is_account_id, to_gregorian
from kazoo_bridge.log_escaping import escape_for_log
from kazoo_bridge.storage import accounts
from kazoo_bridge.storage.accounts import StoreRejected
from kazoo_bridge.storage.change_log import lock_change_log
from kazoo_bridge.storage.hooks import find, new_revision, update
from kazoo_bridge.storage.transfer import select_hooks
from kazoo_bridge.text_sanitizing import text_for_display
from kazoo_bridge.webhooks.egress import mask_credentials


@click.group()
def hooks() -> None:
    """List hooks, enable and disable them, and see what fails."""


hooks.add_command(failures)
hooks.add_command(flush)


@hooks.command(name="list")
@account_filter
@json_option
@click.pass_obj
def list_hooks(context: CliContext, account: str | None, as_json: bool) -> None:
    """List hooks, oldest first. Secrets and credentials of URIs are not shown."""
    _require_storage(context)
    records = context.read(
        lambda connection: [
            _shown(hook) for hook in select_hooks(connection) if account in (None, hook.account_id)
        ]
    )
    columns = ("id", "account_id", "state", "hook", "name", "uri")
    print_list(
        records if as_json else [record | record["document"] for record in records], columns, as_json=as_json
    )


@hooks.command()
@click.argument("hook_id", metavar="ID")
@json_option
@click.pass_obj
def show(context: CliContext, hook_id: str, as_json: bool) -> None:
    """Show the hook ID: its document, and whether it is signed and why it is disabled."""
    _require_storage(context)
    shown = _shown(context.read(lambda connection: _find(connection, hook_id)))
    if as_json:
        print_json(shown)
        return
    document = shown.pop("document")
    for name, value in (shown | document).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(escape_for_log(f"{name}: {text}"))


@hooks.command()
@click.argument("hook_id", metavar="ID", required=False)
@click.option(
    "--account",
    metavar="ID",
    callback=check_account_id,
    help="Instead: all hooks of an account that failures have disabled.",
)
@click.option("--descendants", is_flag=True, help="With --account: those of the accounts below it, too.")
@click.pass_obj
def enable(context: CliContext, hook_id: str | None, account: str | None, descendants: bool) -> None:
    """Enable the hook ID. Events that wait for it are sent."""
    if (hook_id is None) == (account is None) or (descendants and account is None):
        raise click.UsageError("expected either an ID or --account, which may have --descendants")
    if hook_id is not None:
        _set_enabled(context, lambda _: [hook_id], enabled=True)
    else:
        _set_enabled(
            context,
            lambda connection: _failed(connection, str(account), descendants=descendants),
            enabled=True,
        )


def _failed(connection: Connection, account_id: str, *, descendants: bool) -> list[str]:
    """Return the ids of the hooks of an account, or those below it, that failures have disabled."""
    wanted = {account_id}
    if descendants:
        stored = accounts.select_all(connection)
        while below := {one.id for one in stored if one.parent_id in wanted} - wanted:
            wanted |= below
    return [
        hook.id
        for hook in select_hooks(connection)
        if hook.account_id in wanted and _state(hook) in ("suspended", "failed")
    ]


@hooks.command()
@click.argument("hook_id", metavar="ID")
@click.pass_obj
def disable(context: CliContext, hook_id: str) -> None:
    """Disable the hook ID until it is enabled again."""
    _set_enabled(context, lambda _: [hook_id], enabled=False)


def _set_enabled(
    context: CliContext, select: Callable[[Connection], Sequence[str]], *, enabled: bool
) -> None:
    """Enable or disable the hooks whose ids `select` returns, in one transaction, and print the ids."""
    _require_storage(context)
    now = time.time()

    def change(connection: Connection) -> Sequence[str]:
        # Other nodes that write a hook have either committed before this, or wait.
        lock_change_log(connection)
        hook_ids = select(connection)
        for hook_id in hook_ids:
            _set_one_enabled(connection, hook_id, now, enabled=enabled)
        return hook_ids

    for hook_id in context.write(change):
        click.echo(hook_id)


def _set_one_enabled(connection: Connection, hook_id: str, now: float, *, enabled: bool) -> None:
    hook = _find(connection, hook_id)
    document = {name: value for name, value in hook.document.items() if name != "disable_reason"}
    document["enabled"] = enabled
    if document == hook.document and hook.suspension is None:
        return
    number = int(hook.revision.partition("-")[0]) + 1
    replacement = evolve(
        hook,
        document=document,
        revision=new_revision(number),
        modified=to_gregorian(now),
        suspension=None,
    )
    update(connection, hook, replacement, now)


def _require_storage(context: CliContext) -> None:
    if context.config().webhooks.source == "couchdb":
        raise click.ClickException(
            "webhooks.source is 'couchdb': the hooks are in KAZOO's CouchDB; use REST, or KAZOO"
        )


def _find(connection: Connection, hook_id: str) -> StoredHook:
    hook = find(connection, hook_id) if is_account_id(hook_id) else None
    if hook is None:
        raise StoreRejected(f"there is no hook {text_for_display(hook_id)}")
    return hook


def _shown(hook: StoredHook) -> dict[str, Any]:
    """Return a hook without its secrets."""
    document = dict(hook.document)
    if isinstance(document.get("uri"), str):
        document["uri"] = mask_credentials(document["uri"])
    return {
        "id": hook.id,
        "account_id": hook.account_id,
        "state": _state(hook),
        "signed": bool(hook.secrets),
        "document": {"hook": None, "name": None, "uri": None} | document,
    }


def _state(hook: StoredHook) -> str:
    if hook.document.get("enabled", True):
        return "enabled"
    if hook.suspension is not None:
        return "suspended"
    return "failed" if "disable_reason" in hook.document else "disabled"
