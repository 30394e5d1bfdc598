"""Live calls: queries, commands, and watches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from zope.interface import Interface


class UnknownCall(Exception):
    """The switch reports no live call of that id for the account."""


class CommandRefused(Exception):
    """A command is not valid.

    `errors` maps field names to rules, as in REST's validation errors: ``{"target": {"required":
    {"message": "this field is required"}}}``.
    """

    def __init__(self, errors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        super().__init__(
            "; ".join(
                f"{name}: {rule['message']}" for name, rules in errors.items() for rule in rules.values()
            )
        )
        self.errors = errors


class UnknownCommand(CommandRefused):
    """There is no command of that name."""


@frozen
class CallChange:
    """A change of an account's live calls, as watchers receive it.

    `kind` is one of

    - ``snapshot``: `calls` are all live calls; everything known before is void;
    - ``changed``: `calls` are new or have changed;
    - ``removed``: the calls `call_ids` have ended;
    - ``stale``: the switch cannot be reached; what is known may be outdated until the next snapshot.

    `calls` are in their public form: lower-case keys, among them ``call_id``.
    """

    kind: str
    calls: Sequence[Mapping[str, Any]] = ()
    call_ids: Sequence[str] = ()


class ICallWatch(Interface):
    """A running watch of an account's live calls; `ICalls.watch` returns it."""

    def stop() -> None:
        """Report no further changes."""


class ICalls(Interface):
    """Live calls of accounts. The caller has checked the rights on the account."""

    def channels(account_id: str) -> Awaitable[list[Mapping[str, Any]]]:
        """List the account's live channels in their public form, as the switches report them.

        Fails with `BusUnavailable`.
        """

    def user_channels(
        account_id: str, usernames: Sequence[str], realm: str
    ) -> Awaitable[list[Mapping[str, Any]]]:
        """List those of the account's live channels that belong to SIP user names of its realm.

        Fails with `BusUnavailable`.
        """

    def all_channels() -> Awaitable[list[Mapping[str, Any]]]:
        """List the live channels of all accounts, for super-admins. Fails with `BusUnavailable`."""

    def channel(account_id: str, call_id: str) -> Awaitable[Mapping[str, Any] | None]:
        """Return one live channel of the account in its public form; None if the account has none of that id.

        Fails with `BusUnavailable`.
        """

    def command(account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> Awaitable[str]:
        """Send a command to a live call; return the text of the response, such as ``hangup initiated``.

        `command` is ``hangup``, ``transfer``, …; `data` are its parameters. Fails with `CommandRefused`,
        with `UnknownCall` (nothing is sent then), or with `BusUnavailable`.
        """

    def flow(account_id: str, call_id: str, flow: Mapping[str, Any]) -> Awaitable[str]:
        """Send a metaflow to a live call: a document of ``module``, ``data`` and ``children``.

        Results and failures are those of `command`.
        """

    def watch(account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        """Call `watcher` with every change of the account's calls, until the watch is stopped.

        The first change is a ``snapshot``, or ``stale`` while the switch cannot be reached.
        """
