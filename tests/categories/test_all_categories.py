from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from kazoo_bridge.categories.call import call
from kazoo_bridge.categories.conference import conference
from kazoo_bridge.categories.fax_status import fax_status
from kazoo_bridge.categories.messages import messages
from kazoo_bridge.categories.notifications import notifications
from kazoo_bridge.categories.objects import objects
from kazoo_bridge.categories.parking import parking
from kazoo_bridge.categories.pivot import pivot
from kazoo_bridge.categories.presence import presence
from kazoo_bridge.interfaces import BindingRefused, IBindingCategory, IEventCategory
from kazoo_bridge.kazoo import account_db, encode_key_part
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness
from kazoo_bridge.topics import TopicTable
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from tests.categories.category_calls import ACCOUNT, NOW, occurrences

CATEGORIES = [call, conference, fax_status, messages, notifications, objects, parking, pivot, presence]
WITH_BINDINGS = [category for category in CATEGORIES if IBindingCategory.providedBy(category)]
all_categories = pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)


def test_every_built_in_category_is_tested_here() -> None:
    assert sorted(category.name for category in CATEGORIES) == sorted(
        found.name for found in find_categories()
    )


@all_categories
def test_it_provides_its_interface(category: Any) -> None:
    assert verifyObject(
        IBindingCategory if IBindingCategory.providedBy(category) else IEventCategory, category
    )
    for hook in category.hooks:
        assert hook.samples
        assert list(category.topics(hook.id))


@all_categories
def test_a_node_would_accept_it_as_a_plugin(category: Any) -> None:
    assert CategoryHarness(category).problems() == []


def test_what_the_catalogue_lists_can_be_subscribed_to() -> None:
    for category in WITH_BINDINGS:
        for binding in category.bindings:
            filled = binding.replace("{CONFERENCE_ID}", "c1").replace("{ACTION}", "*")
            for placeholder in ("{CALL_ID}", "{FAX_ID}", "{USER}"):
                filled = filled.replace(placeholder, "*")
            assert category.resolve_binding(filled, EXAMPLE_ACCOUNT, False, NOW) is not None, binding


@pytest.mark.parametrize("written", ["%2A", "%23", "%2a", "#", ""])
@pytest.mark.parametrize(
    "binding",
    ["conference.command.{}", "conference.event.{}.*", "fax.status.{}", "presence.dialog.{}", "call.*.{}"],
)
def test_no_spelling_of_a_wildcard_is_an_id(binding: str, written: str) -> None:
    catalogue = BindingCatalogue.from_categories(CATEGORIES)
    with pytest.raises(BindingRefused, match="invalid format for"):
        catalogue.resolve(binding.format(written), EXAMPLE_ACCOUNT, False, NOW)


@pytest.mark.parametrize("binding", ["planets.*", "", "#"])
def test_a_binding_of_no_category_is_refused(binding: str) -> None:
    catalogue = BindingCatalogue.from_categories(CATEGORIES)
    with pytest.raises(BindingRefused) as caught:
        catalogue.resolve(binding, EXAMPLE_ACCOUNT, False, NOW)
    assert str(caught.value) == f"no available subscriptions to requested binding {binding}"


#: Hook -> exchange and routing key, as KAZOO publishes them.
KEYS = {
    **{
        f"channel_{name.lower()}": ("callevt", f"call.CHANNEL_{name}.{encode_key_part('a.b@1.2.3.4')}")
        for name in ("CREATE", "ANSWER", "BRIDGE", "DESTROY", "HOLD", "UNHOLD")
    },
    "parking": ("callevt", f"call.PARK_PARKED.{encode_key_part('a.b@1.2.3.4')}"),
    "object": (
        "configuration",
        f"doc_edited.{encode_key_part(account_db(ACCOUNT))}.user.{encode_key_part('d.1')}",
    ),
    "notifications": ("notifications", "notifications.voicemail.new"),
    "sms": ("im", "sms.inbound.offnet.m1"),
    "mms": ("im", "mms.inbound.offnet.m1"),
    "conference": ("conference", f"conference.event.add-member.{ACCOUNT}.c1.call"),
    "fax_status": ("faxes", f"fax.status.{ACCOUNT}.j1"),
}


@all_categories
def test_the_topics_of_hooks_match_the_routing_keys_of_kazoo(category: Any) -> None:
    for hook in category.hooks:
        exchange, key = KEYS[hook.id]
        table: TopicTable[str] = TopicTable()
        for topic in category.topics(hook.id):
            assert topic.exchange == exchange
            table.add(topic.pattern, "x")
        assert table.match(key) == ["x"]


HOSTILE: list[Any] = [None, 7, True, "text", [], ["x"], {}, {"a": {"b": [None]}}, "\ud800", -1.5]


@all_categories
@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_values_of_wrong_types_raise_nothing(category: Any, value: Any) -> None:
    fields = [
        *(
            "Account-ID",
            "Custom-Channel-Vars",
            "Database",
            "ID",
            "Type",
            "Is-Soft-Deleted",
            "Hook",
            "Data",
            "Event",
            "Fax-State",
            "Details",
        ),
        *(
            "Event-Category",
            "Message-ID",
            "From",
            "account",
            "account_id",
            "Channel-Name",
            "Channel-Is-Loopback",
        ),
    ]
    names = ["PARK_PARKED", "doc_edited", "webhook", "register", "inbound", "event", "status", value]
    for name in names:
        for routing_key in ("", "a.b.c.d.e", f"fax.status.{ACCOUNT}.x"):
            with capturedLogs():
                for occurrence in occurrences(
                    category, {"Event-Name": name, **dict.fromkeys(fields, value)}, routing_key
                ):
                    assert occurrence.account_id is None or occurrence.account_id == ACCOUNT
                    assert all(isinstance(chosen, str) for chosen in occurrence.selectors.values())
