"""The specification is that of pika, an independent client."""

from __future__ import annotations

import inspect
from typing import Any

import pika.spec
import pytest

from kazoo_bridge.bus.amqp.wire.spec import amqp_0_9_1

SPEC = amqp_0_9_1()
METHODS = [method for klass in SPEC.classes for method in klass.methods]

#: pika has no class for these two methods.
NOT_IN_PIKA = {"update-secret", "update-secret-ok"}


def pika_method(klass: str, method: str) -> Any:
    def camel_case(name: str) -> str:
        return "".join(word.capitalize() for word in name.split("-"))

    return getattr(getattr(pika.spec, camel_case(klass)), camel_case(method))


@pytest.mark.parametrize("ours", METHODS, ids=lambda method: f"{method.klass.name}.{method.name}")
def test_number_and_arguments_of_every_method(ours: Any) -> None:
    if ours.name in NOT_IN_PIKA and not hasattr(pika.spec.Connection, "UpdateSecret"):
        pytest.skip("pika does not have it")
    theirs = pika_method(ours.klass.name, ours.name)
    assert (ours.klass.id << 16) + ours.id == theirs.INDEX
    arguments = list(inspect.signature(theirs.__init__).parameters)[1:]
    assert len(arguments) == len(ours.fields)


def test_properties_are_in_the_order_of_their_flags() -> None:
    names = [field.name.replace("-", "_").upper() for field in SPEC.classes.byname["basic"].fields]
    flags = [getattr(pika.spec.BasicProperties, f"FLAG_{name}") for name in names]
    assert flags == [0x8000 >> position for position in range(len(names))]


def test_responses_belong_to_their_requests() -> None:
    basic = SPEC.classes.byname["basic"]
    assert [answer.name for answer in basic.methods.byname["get"].responses] == ["get-ok", "get-empty"]
    assert basic.methods.byname["get-ok"].response
    assert not basic.methods.byname["get"].response


def test_it_is_built_once() -> None:
    assert amqp_0_9_1() is SPEC
