"""Makes new calls: validates, finds the telephones, publishes the request, and follows its outcome."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.calls.channel_queries import ChannelQueries
from kazoo_bridge.calls.command_validation import is_valid_call_id
from kazoo_bridge.calls.kazoo_messages import Message
from kazoo_bridge.calls.new_calls.endpoints import EndpointFinder
from kazoo_bridge.calls.new_calls.messages import (
    eavesdrop,
    make_call_id,
    originate_from_number,
    originate_from_telephones,
)
from kazoo_bridge.calls.new_calls.progress import NewCallProgress
from kazoo_bridge.calls.new_calls.request import (
    FROM_DEVICE,
    FROM_NUMBER,
    EavesdropRequest,
    OriginateRequest,
    parse_new_call,
)
from kazoo_bridge.interfaces import (
    BusUnavailable,
    CommandForbidden,
    CommandRefused,
    IBus,
    IQuickcall,
    NewCall,
    NoSwitch,
    TooManyNewCalls,
    UnknownCall,
    Unroutable,
)
from kazoo_bridge.schema_errors import field_error
from kazoo_bridge.token_bucket import KeyedTokenBuckets

_log = Logger()

#: Seconds beyond the ringing of the telephone for which an outcome is waited for.
OUTCOME_MARGIN = 10.0

#: New calls of one node whose outcome is not known yet; further ones are refused.
MAX_FOLLOWED = 1000

#: Receives the later states of a new call.
OnOutcome = Callable[[NewCall], None]


@define(eq=False)
class NewCallPlacer:
    """Makes new calls of accounts, whose rights the caller has checked.

    `limits` bounds the new calls of each account. `report_timeout`: seconds until `place` returns without a
    report of the switch.
    """

    _clock: IReactorTime
    _bus: IBus
    _queries: ChannelQueries
    _endpoints: EndpointFinder
    _quickcalls: IQuickcall | None
    _limits: KeyedTokenBuckets
    _report_timeout: float
    _allow_eavesdrop: bool = False
    _followed: set[Deferred[Any]] = field(init=False, factory=set)

    @property
    def followed(self) -> int:
        """The number of new calls whose outcome is not known yet."""
        return len(self._followed)

    async def place(
        self, account_id: str, command: str, data: Mapping[str, Any], on_outcome: OnOutcome | None = None
    ) -> NewCall:
        """See `ICalls.place`."""
        request = parse_new_call(command, data)
        if isinstance(request, EavesdropRequest) and not self._allow_eavesdrop:
            raise CommandForbidden("eavesdrop is not allowed here: calls.allow_eavesdrop is false")
        seconds = self._limits.take(account_id)
        if seconds:
            raise TooManyNewCalls(seconds)
        self._check_followed()
        call = NewCall(secrets.token_hex(16), command, account_id)
        if isinstance(request, EavesdropRequest):
            return await self._eavesdrop(call, request, on_outcome)
        return await self._originate(call, request, on_outcome)

    def _check_followed(self) -> None:
        if len(self._followed) >= MAX_FOLLOWED:
            raise BusUnavailable(f"the outcomes of {MAX_FOLLOWED} new calls are waited for already")

    async def _originate(
        self, call: NewCall, request: OriginateRequest, on_outcome: OnOutcome | None
    ) -> NewCall:
        account_id = call.account_id
        if request.from_type == FROM_NUMBER:
            realm = await self._endpoints.realm(account_id)
            call_ids = [make_call_id("originate")]
            message = originate_from_number(account_id, realm, request, call_ids[0])
        else:
            endpoints = await self._endpoints.find(account_id, request.from_type, request.from_id)
            if endpoints is None:
                return await self._quickcall(call, request)
            call_ids = [make_call_id("quickcall") for _ in endpoints]
            message = originate_from_telephones(account_id, request, endpoints, call_ids)
        call = evolve(call, call_id=call_ids[0], call_ids=tuple(call_ids))
        return await self._send(call, message, request.timeout_s, on_outcome)

    async def _quickcall(self, call: NewCall, request: OriginateRequest) -> NewCall:
        """Let KAZOO's own REST make the call: it knows the telephones. Its outcome is visible in events."""
        options = {"auto_answer": str(request.auto_answer).lower(), "timeout": str(request.timeout_s)}
        if request.caller_id_name is not None:
            options["cid-name"] = request.caller_id_name
        if request.caller_id_number is not None:
            options["cid-number"] = request.caller_id_number
        found: Sequence[str] | None = None
        if self._quickcalls is not None:
            found = await self._quickcalls.quickcall(
                call.account_id, request.from_type, request.from_id, request.to, options
            )
        if found is None:
            message = "the telephones of the account are not known here: use from_type number"
            raise CommandRefused(field_error("from_id", "not_found", message, cause=request.from_id))
        return evolve(call, call_id=found[0] if found else None, call_ids=tuple(found))

    async def _eavesdrop(
        self, call: NewCall, request: EavesdropRequest, on_outcome: OnOutcome | None
    ) -> NewCall:
        known = is_valid_call_id(request.call_id)
        if not known or await self._queries.by_call_id(call.account_id, request.call_id) is None:
            raise UnknownCall(request.call_id)
        device_id = await self._endpoints.device_id(call.account_id, request.from_type, request.from_id)
        if device_id is None and request.from_type == FROM_DEVICE:
            device_id = request.from_id  # KAZOO looks for it among those of the account
        if device_id is None:
            message = "the devices of the user are not known here: use from_type device"
            raise CommandRefused(field_error("from_id", "not_found", message, cause=request.from_id))
        message_to_send = eavesdrop(call.account_id, request, device_id)
        # KAZOO's `spyvsspy` replies before the telephone is answered, within 5 seconds.
        return await self._send(call, message_to_send, 0, on_outcome)

    async def _send(
        self, call: NewCall, message: Message, timeout: float, on_outcome: OnOutcome | None
    ) -> NewCall:
        """Publish the request, and return what the switch reports within the time for it.

        `timeout`: seconds after which the outcome is late; it may come `OUTCOME_MARGIN` later.
        """
        # Again: others were placed while the telephones were found.
        self._check_followed()
        progress = NewCallProgress(call, on_outcome)
        exchange, routing_key, body = message
        asked = self._bus.request(
            exchange,
            routing_key,
            body,
            timeout=timeout + OUTCOME_MARGIN,
            done_when=progress.on_replies,
            mandatory=True,
        )
        self._followed.add(asked)
        asked.addBoth(self._on_ended, asked, progress)
        _log.info(
            "new call account_id={call.account_id} command={call.command} command_id={call.command_id}"
            " call_id={call.call_id}",
            call=call,
        )
        timer = self._clock.callLater(self._report_timeout, progress.stop_waiting)
        try:
            await progress.first_report
        except Unroutable as error:
            _log.warn(
                "new call not possible command={command} reason={reason}", command=call.command, reason=error
            )
            raise NoSwitch(f"no part of KAZOO executes {call.command} just now: try again later") from None
        finally:
            if timer.active():
                timer.cancel()
        return progress.notify()

    def _on_ended(self, result: object, asked: Deferred[Any], progress: NewCallProgress) -> None:
        self._followed.discard(asked)
        if not isinstance(result, Failure):
            progress.expire()
        elif not progress.first_report.called:
            progress.first_report.errback(result)
        else:
            _log.warn(
                "outcome of a new call not known command_id={id} reason={reason}",
                id=progress.call.command_id,
                reason=result.value,
            )
            progress.fail("the switch cannot be asked any more")
