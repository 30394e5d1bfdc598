"""New calls over a real broker, to the demo's switch."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_twisted
from attrs import define, evolve, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Calls, Config
from kazoo_bridge.demo import DemoOptions
from kazoo_bridge.demo.switchboard import Switchboard
from kazoo_bridge.demo.tenants import Tenant, make_tenants
from kazoo_bridge.interfaces import Account, CallChange, Device, NewCall, NoSwitch, People, User
from tests.calls.new_calls.fakes import DirectoryWithPeople
from tests.integration.amqp_harness import is_available, running_bus, until

pytestmark = pytest.mark.timeout(120)


class DemoDirectory(DirectoryWithPeople):
    """Knows the people of one account of the demo."""

    @classmethod
    def of_tenant(cls, tenant: Tenant) -> DemoDirectory:
        users, devices = {}, {}
        for person in tenant.people:
            user_id, device_id = str(person.user_id), str(person.device_id)
            users[user_id] = User(user_id, person.name, device_ids=(device_id,))
            devices[device_id] = Device(
                device_id, owner_id=user_id, sip_username=person.sip_username, realm=tenant.realm
            )
        accounts = {tenant.id: Account(tenant.id, tenant.name, tenant.realm)}
        return cls(accounts, known=People(users, devices))

    def people(self, account_id: str) -> Deferred[People]:
        return succeed(self.known)


@define
class Site:
    service: CallService
    tenant: Tenant
    switchboard: Switchboard
    outcomes: list[NewCall] = field(factory=list)

    async def place(self, command: str, **data: Any) -> NewCall:
        return await self.service.place(self.tenant.id, command, data, self.outcomes.append)


@pytest_twisted.async_yield_fixture
async def site(vhost_uri: str) -> AsyncIterator[Site]:
    clock, rng = cast(IReactorTime, reactor), random.Random(1)
    tenants = make_tenants(rng, 2)
    directory: Any = DemoDirectory.of_tenant(tenants[0])
    config = evolve(Config(), calls=Calls(query_timeout_ms=1500, allow_eavesdrop=True))
    async with running_bus(vhost_uri) as bus, running_bus(vhost_uri) as switch:
        options = DemoOptions(calls_per_minute=0.001, accounts=2, max_calls=1)
        service = CallService.from_config(reactor, config, bus, None, directory)
        service.start()
        await until(is_available(bus), "the bus")
        await until(is_available(switch), "the switch")
        yield Site(service, tenants[0], Switchboard(clock, switch, tenants, options, rng, lambda _: None))
        await service.stop()


@pytest_twisted.ensureDeferred
async def test_a_person_calls_another_and_a_third_listens(site: Site) -> None:
    caller, callee, listener = site.tenant.people[:3]
    with pytest.raises(NoSwitch):
        await site.place("originate", from_type="user", from_id=caller.user_id, to=callee.number)
    site.switchboard.startService()
    await until(lambda: all(one.start_count for one in site.switchboard._consumers), "the switch consumes")
    changes: list[CallChange] = []
    watch = site.service.watch(site.tenant.id, changes.append)
    await until(lambda: bool(changes), "the snapshot")
    placed = await site.place("originate", from_type="user", from_id=caller.user_id, to=callee.number)
    assert placed.status == "ringing"
    found = site.switchboard.calls.find(str(placed.call_id))
    assert found is not None
    call, leg = found
    assert leg.party == caller
    call.pick_up()
    await until(lambda: bool(site.outcomes), "the outcome")
    assert [(one.status, one.call_id) for one in site.outcomes] == [("answered", placed.call_id)]
    call.ring(callee)
    call.answer()

    def is_connected() -> bool:
        seen = [one for change in changes for one in change.calls if one["call_id"] == placed.call_id]
        return any("other_leg_call_id" in one and one["state"] == "answered" for one in seen)

    await until(is_connected, "the connected call")
    joined = await site.place(
        "eavesdrop", call_id=placed.call_id, from_type="device", from_id=listener.device_id, mode="whisper"
    )
    assert joined.status == "started"
    assert [one.party for one in call.listeners] == [listener]
    watch.stop()
    site.switchboard.stopService()


@pytest_twisted.ensureDeferred
async def test_a_telephone_that_is_busy(site: Site) -> None:
    site.switchboard.startService()
    await until(lambda: all(one.start_count for one in site.switchboard._consumers), "the switch consumes")
    caller = site.tenant.people[0]
    site.switchboard.calls.undisturbed.add(caller)
    placed = await site.place("originate", from_type="device", from_id=caller.device_id, to="2002")
    assert placed.status == "ringing"
    await until(lambda: bool(site.outcomes), "the outcome")
    assert [(one.status, one.reason) for one in site.outcomes] == [("failed", "USER_BUSY")]
    site.switchboard.stopService()
