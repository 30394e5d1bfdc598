"""Makes the calls that requests on the exchange ``callmgr`` ask for, and replies like KAZOO."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.commands import MAILBOX_CODE, PARK_CODE, CommandNotPossible
from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.demo.tenants import Party, Tenant, make_call_id
from kazoo_bridge.interfaces import Topic
from kazoo_bridge.kazoo import Event


class NewCallExecutor:
    """Obeys ``originate_req`` and ``eavesdrop_req``. `on_message` receives a line about each."""

    topics = frozenset(
        {Topic("callmgr", "originate.resource.req"), Topic("callmgr", "eavesdrop.resource.req")}
    )

    def __init__(
        self,
        calls: SimulatedCalls,
        publisher: EventPublisher,
        rng: random.Random,
        on_message: Callable[[str], None],
    ) -> None:
        self._calls = calls
        self._publisher = publisher
        self._rng = rng
        self._on_message = on_message

    def handle(self, event: Event) -> None:
        """Make a call, or reply why that is not possible."""
        try:
            if event.name == "originate_req":
                self._originate(event)
            elif event.name == "eavesdrop_req":
                self._eavesdrop(event)
        except CommandNotPossible as error:
            self._on_message(f"new call refused: {error}")
            if event.name == "originate_req":
                self._publisher.reply(event, "originate_resp", {"Error-Message": str(error)}, "error")
            else:
                body = {"Status": "error", "Error-Msg": str(error)}
                self._publisher.reply(event, "eavesdrop_resp", body, "resource")

    # -- originate

    def _originate(self, event: Event) -> None:
        body = event.body
        if body.get("Application-Name") != "transfer":
            raise CommandNotPossible("only the application transfer is simulated")
        tenant = self._tenant(_object(body.get("Custom-Channel-Vars")).get("Account-ID"))
        endpoints = body.get("Endpoints")
        if not isinstance(endpoints, list) or not endpoints:
            raise CommandNotPossible("there are no endpoints")
        endpoint = _object(endpoints[0])
        party = _party(tenant, endpoint)
        number = _object(body.get("Application-Data")).get("Route")
        if not isinstance(number, str) or not number:
            raise CommandNotPossible("Application-Data has no Route")
        call_id = str(endpoint.get("Outbound-Call-ID") or make_call_id(self._rng))
        self._publisher.reply(event, "originate_uuid", {"Outbound-Call-ID": call_id}, "resource")
        self._on_message(f"call obeyed: {party.name} ({party.number}) to {number}, {call_id}")
        outcome = partial(self._on_outcome, event, call_id, tenant, number)
        self._calls.originate(tenant, party, tenant.party(number), call_id, outcome)

    def _on_outcome(
        self, request: Event, call_id: str, tenant: Tenant, number: str, cause: str | None
    ) -> None:
        if cause is not None:
            body = {"Call-ID": call_id, "Error-Message": cause}
            self._publisher.reply(request, "originate_resp", body, "error")
            return
        body = {"Call-ID": call_id, "Application-Response": "SUCCESS"}
        self._publisher.reply(request, "originate_resp", body, "resource")
        found = self._calls.find(call_id)
        slot, mailbox = PARK_CODE.fullmatch(number), MAILBOX_CODE.fullmatch(number)
        parked = self._calls.in_slot(tenant, slot[1]) if slot is not None else None
        owner = tenant.person(mailbox[1]) if mailbox is not None else None
        if found is not None and parked is not None:
            self._calls.retrieve(parked, found[0])
        elif found is not None and owner is not None:
            found[0].callee = owner
            found[0].to_mailbox("NORMAL_CLEARING")

    # -- eavesdrop

    def _eavesdrop(self, event: Event) -> None:
        body = event.body
        tenant = self._tenant(body.get("Account-ID"))
        person = tenant.person(str(body.get("Endpoint-ID")))
        found = self._calls.find(str(body.get("Eavesdrop-Call-ID")))
        if person is None:
            raise CommandNotPossible("not_found")
        if found is None or found[0].tenant is not tenant:
            raise CommandNotPossible("the account has no such call")
        leg_id = make_call_id(self._rng)
        self._publisher.reply(
            event, "eavesdrop_resp", {"Status": "started", "Eavesdropper-Call-ID": leg_id}, "resource"
        )
        mode = body.get("Eavesdrop-Mode", "listen")
        self._on_message(f"call obeyed: {person.name} ({person.number}) joins, {mode}, {leg_id}")
        call: Call = found[0]
        call.listen(person, leg_id)

    def _tenant(self, account_id: object) -> Tenant:
        tenant = self._calls.tenant(account_id)
        if tenant is None:
            raise CommandNotPossible("there is no such account")
        return tenant


def _party(tenant: Tenant, endpoint: Mapping[str, Any]) -> Party:
    """Return the party of an endpoint: a person by the SIP user name, or any number."""
    if endpoint.get("Invite-Format") == "loopback":
        return tenant.party(str(endpoint.get("Route")))
    person = tenant.person(str(endpoint.get("To-User")))
    if person is None or endpoint.get("To-Realm") != tenant.realm:
        raise CommandNotPossible("USER_NOT_REGISTERED")
    return person


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
