"""Live calls: queries, commands, and watches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from zope.interface import Interface

from kazoo_bridge.interfaces.bus import BusUnavailable

#: What is known of a new call, see `NewCall`.
CALL_INITIATED, CALL_RINGING, CALL_ANSWERED = "initiated", "ringing", "answered"
CALL_STARTED, CALL_FAILED, CALL_UNKNOWN = "started", "failed", "unknown"


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


class CommandForbidden(Exception):
    """The configuration does not allow the command; the text names the key."""


class TooManyNewCalls(Exception):
    """The account makes too many new calls; `seconds` is when it may make the next one."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many new calls: try again in {seconds} seconds")
        self.seconds = seconds


class NoSwitch(BusUnavailable):
    """No part of KAZOO takes the request for a new call."""


@frozen
class NewCall:
    """A call that a command makes, and what is known of it.

    `command_id` identifies it, `command` is ``originate`` or ``eavesdrop``. `call_id` is the id of its first
    leg, of the telephone that rings; None: not known yet. While several telephones ring, `call_ids` are those
    of their legs, and `call_id` the first of them; later it is that of the telephone that was answered.

    `status` is one of

    - `CALL_INITIATED`: the bus has the request, and the switch has not reported anything yet;
    - `CALL_RINGING`: the switch lets the telephone ring;
    - `CALL_ANSWERED`: it was answered, and the switch calls the number;
    - `CALL_STARTED`: the switch lets the telephone ring, and reports nothing further (``eavesdrop``);
    - `CALL_FAILED`: `reason` is the switch's, such as ``NO_ANSWER`` or ``USER_BUSY``;
    - `CALL_UNKNOWN`: the switch has not reported an outcome, `reason` says why none can come any more.
    """

    command_id: str
    command: str
    account_id: str
    call_id: str | None = None
    call_ids: tuple[str, ...] = ()
    status: str = CALL_INITIATED
    reason: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the status is the last one."""
        return self.status not in (CALL_INITIATED, CALL_RINGING)

    def document(self) -> dict[str, Any]:
        """Return the form in which clients see it, without what is not known."""
        values = {
            "command_id": self.command_id,
            "command": self.command,
            "account_id": self.account_id,
            "call_id": self.call_id,
            "call_ids": list(self.call_ids) or None,
            "status": self.status,
            "reason": self.reason,
        }
        return {key: value for key, value in values.items() if value is not None}


class IQuickcall(Interface):
    """What a directory may know beside `IDirectory`: how KAZOO lets a person's telephones ring by itself."""

    def quickcall(
        account_id: str, kind: str, member_id: str, number: str, options: Mapping[str, str]
    ) -> Awaitable[Sequence[str] | None]:
        """Let the telephones of a user or a device ring, and connect them to a number.

        `kind` is ``user`` or ``device``. `options` are the parameters of crossbar's path ``quickcall``.
        Returns the call ids of the telephones' legs, as far as they are known; None if the directory cannot
        do this, or has no such user or device. Fails with `StorageUnavailable`.
        """


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

    def place(
        account_id: str,
        command: str,
        data: Mapping[str, Any],
        on_outcome: Callable[[NewCall], None] | None = None,
    ) -> Awaitable[NewCall]:
        """Make a new call; return what the switch has reported within a short time.

        `command` is ``originate`` or ``eavesdrop``, `data` are its parameters. `on_outcome` is called with
        each later state of the call, until it is final, which takes a bounded time.

        Fails with `CommandRefused`, `CommandForbidden`, `TooManyNewCalls`, with `UnknownCall` for a call
        that the account does not have, `NoSwitch`, `BusUnavailable` or `StorageUnavailable`.
        """

    def watch(account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        """Call `watcher` with every change of the account's calls, until the watch is stopped.

        The first change is a ``snapshot``, or ``stale`` while the switch cannot be reached.
        """
