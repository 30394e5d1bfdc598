from __future__ import annotations

import random

from zope.interface.verify import verifyObject

from kazoo_bridge.demo.tenant_people import GROUP_SIZE, TenantPeople
from kazoo_bridge.demo.tenants import make_tenants
from kazoo_bridge.interfaces import DEVICE, GROUP, UNKNOWN_PEOPLE, USER, IPeople
from tests.directory.couchdb.harness import result_of

TENANTS = make_tenants(random.Random(1), 3)


def test_the_people_are_those_of_the_tenant_as_the_switch_knows_them() -> None:
    source = TenantPeople(TENANTS)
    assert verifyObject(IPeople, source)
    for tenant in TENANTS:
        people = result_of(source.people(tenant.id))
        assert len(people.users) == len(people.devices) == len(tenant.people)
        for party in tenant.people:
            user = people.users[str(party.user_id)]
            (device,) = people.devices_of(USER, user.id)
            assert (user.name, user.extensions, user.presence_id) == (
                party.name,
                (party.number,),
                party.number,
            )
            assert (device.id, device.sip_username, device.realm) == (
                party.device_id,
                party.sip_username,
                tenant.realm,
            )
        (group,) = people.groups
        assert len(people.devices_of(GROUP, group)) == GROUP_SIZE


def test_documents_of_members() -> None:
    source, tenant = TenantPeople(TENANTS), TENANTS[0]
    people = result_of(source.people(tenant.id))
    for kind, members in ((USER, people.users), (DEVICE, people.devices), (GROUP, people.groups)):
        for member_id in members:
            document = result_of(source.member_document(tenant.id, kind, member_id))
            assert document is not None
            assert document["id"] == member_id
            assert result_of(source.member_document(TENANTS[1].id, kind, member_id)) is None
    assert result_of(source.member_document(tenant.id, USER, "none")) is None


def test_other_accounts_are_not_known() -> None:
    assert result_of(TenantPeople(TENANTS).people("f" * 32)) is UNKNOWN_PEOPLE
