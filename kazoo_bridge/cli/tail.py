"""``kazoo-bridge tail``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import click
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kazoo_bridge.cli.context import CliContext, check_account_id
from kazoo_bridge.cli.nodes import connected_bus, rest_address, superadmin_token, url_option
from kazoo_bridge.cli.output import utc_time
from kazoo_bridge.cli.rest_client import RestAddress, read_answer
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import Account, BindingRefused, IBus
from kazoo_bridge.log_escaping import escape_for_log
from kazoo_bridge.node.parts import is_embedded
from kazoo_bridge.storage import accounts

if TYPE_CHECKING:
    from kazoo_bridge.websockets.server.frames import EventFrame

#: What is shown of an event for people, if it is there.
_SHOWN_KEYS = ("account_id", "call_id", "msg_id")

#: Seconds for which a stream of a node lasts at most: the node ends it with its token.
TOKEN_TTL = 86_400.0

#: A server-sent event with more bytes is no event of a node.
MAX_EVENT_BYTES = 32 * 1024 * 1024


@define(eq=False)
class Printer:
    """Prints events. `done` fires when there have been `count`; 0: never."""

    _as_json: bool
    _count: int
    _now: Callable[[], float]
    done: Deferred[None] = field(init=False, factory=Deferred)

    def deliver(self, frame: EventFrame) -> None:
        """See `Subscriber`."""
        self.print(frame.text(False))

    def follow(self, group: Any) -> bool:
        """See `Subscriber`."""
        return False

    def unfollow(self, group: Any) -> None:
        """See `Subscriber`."""

    def print_message(self, text: bytes) -> None:
        """Print a message of a stream, if it is an event."""
        if json.loads(text).get("action") == "event":
            self.print(text)

    def fail(self, error: Failure) -> None:
        """End with an error, unless all events are printed."""
        if not self.done.called:
            self.done.errback(error)

    def print(self, text: bytes) -> None:
        """Print an event, given as the JSON that websocket clients receive."""
        if self.done.called:
            return
        if self._as_json:
            click.echo(text)
        else:
            click.echo(escape_for_log(describe(json.loads(text), self._now())))
        self._count -= 1
        if self._count == 0:
            self.done.callback(None)


def describe(event: Mapping[str, Any], now: float) -> str:
    """Return a line for people."""
    data = event.get("data") or {}
    shown = "  ".join(f"{key}={data[key]}" for key in _SHOWN_KEYS if data.get(key))
    return f"{utc_time(now)}  {event.get('routing_key')}  {shown}".rstrip()


@click.command()
@click.option(
    "--binding",
    "bindings",
    metavar="B",
    multiple=True,
    required=True,
    help="What to subscribe to, as with websockets, such as call.CHANNEL_CREATE.*; may be repeated.",
)
@click.option(
    "--account",
    metavar="ID",
    callback=check_account_id,
    help="Only events of this account; without it, those of all accounts. An embedded bus needs it.",
)
@click.option("--count", type=click.IntRange(1), help="End after so many events.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, like websockets.")
@url_option
@click.pass_obj
def tail(
    context: CliContext,
    bindings: Sequence[str],
    account: str | None,
    count: int | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Print events as they happen, until Ctrl-C.

    They are consumed from the broker, also while no node runs, and change nothing for the nodes. With an
    embedded bus, or with --url, they are streamed by a node, for at most 24 hours.
    """
    from kazoo_bridge.cli.reactor import run

    config = context.config()
    if url is None and not is_embedded(config):
        subscriber = (
            None if account is None else context.read(lambda c: accounts.select_by_ids(c, (account,)))
        )
        known = _account(account, subscriber or [])
        run(lambda reactor: _consume(reactor, config, bindings, known, _printer(reactor, as_json, count)))
        return
    if account is None:
        raise click.UsageError("expected --account: a node streams the events of one account")
    address = rest_address(config, url)
    query = urlencode([("binding", one) for one in bindings])
    with superadmin_token(context, TOKEN_TTL, {"get": [f"accounts/{account}/events"]}) as token:
        path = f"/v2/accounts/{account}/events?{query}"
        run(lambda reactor: _stream(address, path, token, _printer(reactor, as_json, count)))


def _printer(reactor: Any, as_json: bool, count: int | None) -> Printer:
    return Printer(as_json, count or 0, reactor.seconds)


def _account(account_id: str | None, stored: Sequence[accounts.StoredAccount]) -> Account | None:
    """Return the account; of one that only KAZOO's databases have, the realm is not known."""
    if account_id is None:
        return None
    return Account(account_id, "", stored[0].realm if stored else "")


async def _consume(
    reactor: Any, config: Config, bindings: Sequence[str], account: Account | None, printer: Printer
) -> None:
    from kazoo_bridge.plugins.discovery import find_categories
    from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
    from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
    from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription, SubscriptionIndex

    catalogue = BindingCatalogue.from_categories(find_categories(config.plugins.path))
    index: SubscriptionIndex[Printer] = SubscriptionIndex(lambda _number: None)
    account_id = None if account is None else account.id
    for binding in bindings:
        try:
            category, plan = catalogue.resolve(binding, account, True, reactor.seconds())
        except BindingRefused as error:
            raise click.ClickException(f"{binding}: {error}; GET /v2/websockets lists bindings") from None
        index.add(printer, Subscription(binding, account_id, category, plan))
    async with connected_bus(reactor, config) as bus:
        fanout = EventFanout(reactor, cast(IBus, bus), cast("SubscriptionIndex[Any]", index))
        fanout.start()
        problems = await fanout.bind(frozenset(index.topics))
        for topic, problem in problems.items():
            raise click.ClickException(f"{topic.pattern} on exchange {topic.exchange}: {problem}")
        click.echo("waiting for events; Ctrl-C ends", err=True)
        try:
            await printer.done
        finally:
            await fanout.stop()


async def _stream(address: RestAddress, path: str, token: str, printer: Printer) -> None:
    import treq

    url = address.url + path
    try:
        headers = {"X-Auth-Token": token, "Accept": "text/event-stream"}
        response = await address.request("GET", path, headers)
    except Exception as error:
        raise click.ClickException(f"no node answers at {url}: {error}") from None
    if response.code != 200:
        reason = (await read_answer(url, response)).decode("utf-8", "replace")
        raise click.ClickException(escape_for_log(f"{url} answered {response.code}: {reason}"))
    click.echo("waiting for events; Ctrl-C ends", err=True)
    stream: Deferred[Any] = treq.collect(response, EventReader(printer.print_message).feed)
    stream.addCallback(lambda _: printer.fail(Failure(click.ClickException("the node has ended the stream"))))
    stream.addErrback(printer.fail)
    await printer.done


@define
class EventReader:
    """Splits a stream of server-sent events; `on_data` receives the data of each."""

    _on_data: Callable[[bytes], None]
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream. Raises ValueError for an event that is too large."""
        *events, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event has more than {MAX_EVENT_BYTES} bytes")
        for event in events:
            lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
            if lines:
                self._on_data(b"\n".join(lines))
