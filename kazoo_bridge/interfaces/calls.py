"""Live calls: queries, commands, and watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class UnknownCall(Exception):
    """The account has no live call of that id, as far as the switch answers."""


class CommandRefused(Exception):
    """A command is not one that can be sent; `errors` maps fields to rules, as REST's validation errors have them."""

    def __init__(self, errors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        super().__init__(
            "; ".join(
                f"{name}: {rule['message']}" for name, rules in errors.items() for rule in rules.values()
            )
        )
        self.errors = errors


@frozen
class CallChange:
    """A change of one account's picture of live calls.

    `kind` is ``snapshot`` (`calls` are all there are; everything known before is void), ``changed`` (`calls` are new or have changed),
    ``removed`` (`call_ids` have ended) or ``stale`` (the switch cannot be heard; what is known may be old until the next snapshot). Calls
    are in their public form (lower-case keys, ``call_id`` among them).
    """

    kind: str
    calls: Sequence[Mapping[str, Any]] = ()
    call_ids: Sequence[str] = ()


class ICallWatch(Interface):
    """Somebody's view of an account's live calls."""

    def stop() -> None:
        """Tell of no further changes."""


class ICalls(Interface):
    """Live calls: who is talking, and commands to them. The caller has checked the rights on the account."""

    def channels(account_id: str) -> Deferred[list[Mapping[str, Any]]]:
        """The account's live channels, in their public form, as the switches answer within the time-out.

        Fails with `BusUnavailable`.
        """

    def channel(account_id: str, call_id: str) -> Deferred[Mapping[str, Any] | None]:
        """One live channel of the account, in its public form; None when the account has none of that id. Fails with `BusUnavailable`."""

    def command(account_id: str, call_id: str, command: str, data: Mapping[str, Any]) -> Deferred[str]:
        """Send one command (``hangup``, ``transfer``, …) to a live call; fires with the answer's text, such as ``hangup initiated``.

        Fails with `CommandRefused`, with `UnknownCall` (and then nothing is sent), or with `BusUnavailable`.
        """

    def flow(account_id: str, call_id: str, flow: Mapping[str, Any]) -> Deferred[str]:
        """Send a whole metaflow (``module``, ``data``, ``children``) to a live call; as `command`."""

    def watch(account_id: str, watcher: Callable[[CallChange], None]) -> ICallWatch:
        """Tell `watcher` of the account's calls: a snapshot as soon as there is one, then every change, until stopped.

        While the switch cannot be heard it is told ``stale``, even before the first snapshot.
        """
