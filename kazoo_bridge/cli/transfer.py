"""``kazoo-bridge export`` and ``kazoo-bridge import``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
import sqlalchemy as sa
from attrs import define
from sqlalchemy import Connection, Engine

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.export_file import export_lines
from kazoo_bridge.cli.import_file import LineReader, NotAnExport, read_lines
from kazoo_bridge.cli.importer import CREDENTIALS, HEADERS, SECRETS, Importer
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.log_escaping import escape_for_log
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.storage import transfer
from kazoo_bridge.storage.engine import in_transaction
from kazoo_bridge.storage.tables import settings
from kazoo_bridge.text_sanitizing import text_for_display
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules

T = TypeVar("T")

#: The source of an import that is no file.
COUCHDB = "couchdb"

#: The secret parts of hooks, for people.
_HIDDEN_NAMES = {
    SECRETS: "signing secret",
    HEADERS: "own headers",
    CREDENTIALS: "credentials in the URI",
}

#: The setting that says how far an import of CouchDB has come.
_POSITION = "import couchdb"


@click.command(name="export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), default="-")
@click.option(
    "--with-secrets",
    is_flag=True,
    help="Also secrets and headers of hooks, and digests of API keys and tokens. Keep the file safe.",
)
@click.pass_obj
def export_command(context: CliContext, file: Path, with_secrets: bool) -> None:
    """Write accounts, limits, numbers and hooks to FILE as JSON lines; without FILE or with -, to stdout.

    Only the user can read a new FILE; an existing FILE is not replaced.
    """

    def write(output: BinaryIO, connection: Connection) -> int:
        count = 0
        for line in export_lines(connection, with_secrets=with_secrets):
            output.write(line)
            count += 1
        return count - 1

    if str(file) == "-":
        stdout: BinaryIO = sys.stdout.buffer
        context.read(lambda connection: write(stdout, connection))
        return
    try:
        created = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be created: {error.strerror}") from None
    try:
        with os.fdopen(created, "wb") as opened:
            count = context.read(lambda connection: write(opened, connection))
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    click.echo(f"exported {count} records to {file}")


@click.command(name="import")
@click.argument("source", metavar="couchdb|FILE")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("--restart", is_flag=True, help="Of CouchDB: begin again after an interrupted import.")
@click.pass_obj
def import_command(context: CliContext, source: str, dry_run: bool, restart: bool) -> None:
    """Import from KAZOO's CouchDB (couchdb.uri), or from a FILE that export has written (- for stdin).

    Everything keeps its id. What is there already is updated; nothing is deleted. What cannot be imported is
    printed with the reason, and the exit code is then 1. It may be repeated.
    """
    if restart and source != COUCHDB:
        raise click.UsageError("--restart is for import couchdb: a FILE is always read from its beginning")
    opened: AbstractContextManager[Engine | None] = nullcontext() if dry_run else context.opened()
    with opened as engine:
        importer = Importer(
            _read_snapshot(context, engine),
            None if engine is None else partial(_transaction, engine, writing=True),
            lambda kind, subject, reason: click.echo(
                f"refused {kind} {text_for_display(subject)}: {escape_for_log(reason)}", err=True
            ),
            lambda hook_id, missing: click.echo(
                f"hook {hook_id} lacks what the file leaves out:"
                f" {', '.join(_HIDDEN_NAMES[name] for name in missing)}"
            ),
        )
        if source == COUCHDB:
            position = ImportPosition(engine)
            _import_couchdb(context.config(), importer, position, restart=restart)
        else:
            _import_file(context.config(), importer, Path(source))
        importer.flush()
    for line in importer.summary() or ["nothing to import"]:
        click.echo(line)
    if dry_run:
        click.echo("dry run: nothing was changed")
    if importer.refused:
        sys.exit(1)


def _read_snapshot(context: CliContext, engine: Engine | None) -> transfer.Snapshot:
    """Return what is stored. `engine` is None for a dry run, which creates and upgrades nothing."""
    if engine is not None:
        return _transaction(engine, transfer.read_snapshot, writing=False)
    return context.read_unchanged(transfer.read_snapshot) or transfer.Snapshot({}, {}, {}, {}, {})


def _transaction(engine: Engine, work: Callable[[Connection], T], *, writing: bool) -> T:
    try:
        return in_transaction(engine, work, writing=writing)
    except StorageUnavailable as error:
        raise click.ClickException(f"storage.uri: {error}") from None


@define
class ImportPosition:
    """How far an import of CouchDB has come, in the storage; nowhere for a dry run, without an engine."""

    _engine: Engine | None

    @property
    def enabled(self) -> bool:
        """Whether positions are kept."""
        return self._engine is not None

    def get(self) -> str:
        """Return the position, as `CouchSource` gives it; empty: the beginning."""
        if self._engine is None:
            return ""
        stored = sa.select(settings.c.value).where(settings.c.name == _POSITION)
        return _transaction(self._engine, lambda c: c.scalar(stored), writing=False) or ""

    def set(self, position: str | None) -> None:
        """Keep a position; None: the import has ended."""
        if self._engine is not None:
            _transaction(self._engine, lambda connection: _set_position(connection, position), writing=True)


def _set_position(connection: Connection, position: str | None) -> None:
    connection.execute(sa.delete(settings).where(settings.c.name == _POSITION))
    if position is not None:
        connection.execute(sa.insert(settings).values(name=_POSITION, value=position))


def _import_file(config: Config, importer: Importer, path: Path) -> None:
    reader = LineReader(importer, _document_rules(config))
    try:
        size = path.stat().st_size if str(path) != "-" else 0
        opened: AbstractContextManager[BinaryIO] = (
            path.open("rb") if str(path) != "-" else nullcontext(sys.stdin.buffer)
        )
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be read: {error.strerror}") from None
    with opened as lines, _Progress(size) as advance:
        for number, line in enumerate(read_lines(lines), 1):
            importer.place = f"line {number}"
            try:
                if number == 1:
                    reader.read_head(line)
                elif line.strip():
                    reader.read(line)
            except NotAnExport as error:
                if number == 1:
                    raise click.ClickException(f"{path}: line 1: {error}") from None
                importer.refuse("line", str(number), str(error))
            advance(len(line))


def _import_couchdb(config: Config, importer: Importer, position: ImportPosition, *, restart: bool) -> None:
    if not config.couchdb.uri:
        raise click.ClickException("couchdb.uri: expected the URI of KAZOO's CouchDB, got nothing")
    begin = "" if restart else position.get()
    if begin:
        click.echo(f"continuing the import that was interrupted after {begin}; --restart begins again")
    # Here, because only this needs a reactor.
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react

    errors: list[str] = []
    reading = _read_couchdb(config, importer, begin, position.set, errors, dry_run=not position.enabled)

    def main(_reactor: Any) -> Any:
        return Deferred.fromCoroutine(reading)

    try:
        react(main)
    except SystemExit as exit_:
        if exit_.code:
            raise
    if errors:
        raise click.ClickException(errors[0])
    position.set(None)


def _document_rules(config: Config) -> DocumentRules:
    categories = find_categories(config.plugins.path)
    return DocumentRules.from_catalogue(
        HookCatalogue.from_types(hook for category in categories for hook in category.hooks)
    )


async def _read_couchdb(
    config: Config,
    importer: Importer,
    begin: str,
    on_position: Callable[[str], None],
    errors: list[str],
    *,
    dry_run: bool,
) -> None:
    from twisted.internet import reactor

    from kazoo_bridge.cli.couch_source import CouchSource
    from kazoo_bridge.couchdb.client import CouchClient, DatabaseMissing

    couchdb = config.couchdb
    rules = _document_rules(config)
    client = CouchClient.from_uri(reactor, couchdb.uri, timeout=couchdb.request_timeout_ms / 1000)
    advances: list[Callable[[int], None]] = []
    source = CouchSource(client, rules, importer, begin, on_position, lambda count: advances[0](count))
    try:
        with _Progress(await source.total()) as advance:
            advances.append(advance)
            await source.run()
    except (StorageUnavailable, DatabaseMissing) as error:
        kept = "" if dry_run else "; what was read before is imported: repeat to continue"
        errors.append(f"couchdb.uri: {str(error).rstrip('.')}{kept}")
    except click.ClickException as error:
        errors.append(error.message)
    finally:
        await client.close()


class _Progress(AbstractContextManager[Callable[[int], None]]):
    """A progress bar on stderr if that is a terminal; else nothing."""

    def __init__(self, length: int) -> None:
        self._bar: Any = None
        if sys.stdout.isatty() and sys.stderr.isatty() and length:
            self._bar = click.progressbar(length=length, file=sys.stderr, show_pos=False)

    def __enter__(self) -> Callable[[int], None]:
        if self._bar is None:
            return lambda _: None
        self._bar.__enter__()
        update: Callable[[int], None] = self._bar.update
        return update

    def __exit__(self, *details: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*details)
