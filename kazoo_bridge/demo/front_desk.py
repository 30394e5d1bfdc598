"""Calls to a number that Pivot routes: the switch asks the number's URL what to do with each, like KAZOO."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.demo.phase import Phase
from kazoo_bridge.demo.pivot_flow import execute_flow
from kazoo_bridge.demo.tenants import OUTSIDERS, Party, Tenant
from kazoo_bridge.demo.timer import Timer

_log = Logger()

#: Posts a form to a URL, and returns the body of the answer; raises an exception unless the status is 200.
PostForm = Callable[[str, Mapping[str, str]], Awaitable[bytes]]


@frozen
class PivotRoute:
    """The number of `tenant` that Pivot routes, by `url`, which contains a secret; `post` requests it."""

    tenant: Tenant
    url: str = field(repr=False)
    post: PostForm

    @property
    def party(self) -> Party:
        """The party that callers dial."""
        return Party("Front desk", self.tenant.front_desk_number)


@define(eq=False)
class FrontDesk:
    """Makes a call to the number of `route` every `interval` seconds on average.

    `on_message` receives a line about each answer.
    """

    _clock: IReactorTime
    _rng: random.Random
    _calls: SimulatedCalls
    _route: PivotRoute
    _interval: float
    _on_message: Callable[[str], None]
    _next: Timer = field(init=False)
    #: The calls of this number that are live.
    _live: set[Call] = field(init=False, factory=set)
    _requests: set[Deferred[Any]] = field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self._next = Timer(self._clock)

    def start(self) -> None:
        """Make the first call soon."""
        self._schedule(0.3)

    def stop(self) -> None:
        """Make no more calls, and end the requests under way."""
        self._next.clear()
        self._live.clear()
        for request in tuple(self._requests):
            request.cancel()

    def on_step(self, call: Call) -> None:
        """Post the CDR of a call of this number that has ended."""
        if call.phase is Phase.OVER and call in self._live:
            self._live.discard(call)
            self._run(self._post_cdr(call))

    def _schedule(self, share: float = 1.0) -> None:
        self._next.set(self._rng.uniform(0.7, 1.3) * self._interval * share, self._on_next)

    def _on_next(self) -> None:
        self._schedule()
        tenant, caller = self._route.tenant, self._rng.choice(OUTSIDERS)
        call = self._calls.place_routed(tenant, caller, self._route.party, tenant.receptionist)
        if call is not None:
            self._live.add(call)
            self._run(self._ask(call))

    async def _ask(self, call: Call) -> None:
        """Ask the URL what to do with a call, and do it, unless a command has done something else."""
        try:
            body = await self._route.post(self._route.url, self._parameters(call))
        except CancelledError:
            raise
        except Exception as error:
            self._on_message(f"pivot: no answer for {call.first.id}: {error}")
            body = b""
        if call.phase is Phase.ROUTING:
            done = execute_flow(call, body, self._calls.free_slot)
            self._on_message(f"pivot: {call.first.caller.name}, {call.first.id}: {done}")

    async def _post_cdr(self, call: Call) -> None:
        await self._route.post(f"{self._route.url}/cdr", self._parameters(call))

    def _run(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        request = Deferred.fromCoroutine(work)
        self._requests.add(request)
        request.addErrback(_log_failure)
        request.addBoth(lambda _: self._requests.discard(request))

    def _parameters(self, call: Call) -> Mapping[str, str]:
        """Return what KAZOO sends of a call; see ``req_params`` of its ``kzt_kazoo``."""
        tenant, leg = call.tenant, call.first
        realm, dialled = tenant.realm, self._route.party.number
        return {
            "Call-ID": leg.id,
            "Account-ID": tenant.id,
            "From": leg.caller.number,
            "From-Realm": realm,
            "To": dialled,
            "To-Realm": realm,
            "Request": dialled,
            "Request-Realm": realm,
            "Call-Status": "completed" if call.phase is Phase.OVER else "ringing",
            "Api-Version": "2015-03-01",
            "Direction": "inbound",
            "Caller-ID-Name": leg.caller.name,
            "Caller-ID-Number": leg.caller.number,
        }


def _log_failure(failure: Failure) -> None:
    # `stop` ends the requests under way.
    if not failure.check(CancelledError):
        _log.warn("pivot request failed reason={reason}", reason=failure.value)
