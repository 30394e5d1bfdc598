"""The specification of AMQP 0-9-1 with RabbitMQ's extensions, as the object that txAMQP needs.

txAMQP reads it from an XML file, which it does not include; here the objects are built from the tables below.
The entry of a method is: name, number, responses, arguments. Arguments are ``name:type``, by default of type
``shortstr``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from txamqp.spec import Class, Constant, Field, Method, Spec

_CONSTANTS = {
    "frame-method": 1,
    "frame-header": 2,
    "frame-body": 3,
    "frame-heartbeat": 8,
    "frame-end": 206,
    "frame-min-size": 4096,
}

_BASIC_PROPERTIES = (
    "content-type content-encoding headers:table delivery-mode:octet priority:octet correlation-id reply-to "
    "expiration message-id timestamp:timestamp type user-id app-id cluster-id"
)

_QUEUE_FLAGS = "passive:bit durable:bit exclusive:bit auto-delete:bit nowait:bit arguments:table"
_EXCHANGE_FLAGS = "passive:bit durable:bit auto-delete:bit internal:bit nowait:bit arguments:table"
_CLOSE = "reply-code:short reply-text class-id:short method-id:short"
_BINDING = "ticket:short destination source routing-key nowait:bit arguments:table"

#: class name -> (number, properties, methods)
_CLASSES: dict[str, tuple[int, str, Sequence[tuple[str, int, str, str]]]] = {
    "connection": (
        10,
        "",
        (
            (
                "start",
                10,
                "start-ok",
                "version-major:octet version-minor:octet server-properties:table "
                "mechanisms:longstr locales:longstr",
            ),
            ("start-ok", 11, "", "client-properties:table mechanism response:longstr locale"),
            ("secure", 20, "secure-ok", "challenge:longstr"),
            ("secure-ok", 21, "", "response:longstr"),
            ("tune", 30, "tune-ok", "channel-max:short frame-max:long heartbeat:short"),
            ("tune-ok", 31, "", "channel-max:short frame-max:long heartbeat:short"),
            ("open", 40, "open-ok", "virtual-host reserved-1 reserved-2:bit"),
            ("open-ok", 41, "", "reserved-1"),
            ("close", 50, "close-ok", _CLOSE),
            ("close-ok", 51, "", ""),
            ("blocked", 60, "", "reason"),
            ("unblocked", 61, "", ""),
            ("update-secret", 70, "update-secret-ok", "new-secret:longstr reason"),
            ("update-secret-ok", 71, "", ""),
        ),
    ),
    "channel": (
        20,
        "",
        (
            ("open", 10, "open-ok", "reserved-1"),
            ("open-ok", 11, "", "reserved-1:longstr"),
            ("flow", 20, "flow-ok", "active:bit"),
            ("flow-ok", 21, "", "active:bit"),
            ("close", 40, "close-ok", _CLOSE),
            ("close-ok", 41, "", ""),
        ),
    ),
    "exchange": (
        40,
        "",
        (
            ("declare", 10, "declare-ok", f"ticket:short exchange type {_EXCHANGE_FLAGS}"),
            ("declare-ok", 11, "", ""),
            ("delete", 20, "delete-ok", "ticket:short exchange if-unused:bit nowait:bit"),
            ("delete-ok", 21, "", ""),
            ("bind", 30, "bind-ok", _BINDING),
            ("bind-ok", 31, "", ""),
            ("unbind", 40, "unbind-ok", _BINDING),
            ("unbind-ok", 51, "", ""),
        ),
    ),
    "queue": (
        50,
        "",
        (
            ("declare", 10, "declare-ok", f"ticket:short queue {_QUEUE_FLAGS}"),
            ("declare-ok", 11, "", "queue message-count:long consumer-count:long"),
            ("bind", 20, "bind-ok", "ticket:short queue exchange routing-key nowait:bit arguments:table"),
            ("bind-ok", 21, "", ""),
            ("purge", 30, "purge-ok", "ticket:short queue nowait:bit"),
            ("purge-ok", 31, "", "message-count:long"),
            ("delete", 40, "delete-ok", "ticket:short queue if-unused:bit if-empty:bit nowait:bit"),
            ("delete-ok", 41, "", "message-count:long"),
            ("unbind", 50, "unbind-ok", "ticket:short queue exchange routing-key arguments:table"),
            ("unbind-ok", 51, "", ""),
        ),
    ),
    "basic": (
        60,
        _BASIC_PROPERTIES,
        (
            ("qos", 10, "qos-ok", "prefetch-size:long prefetch-count:short global:bit"),
            ("qos-ok", 11, "", ""),
            (
                "consume",
                20,
                "consume-ok",
                "ticket:short queue consumer-tag no-local:bit no-ack:bit exclusive:bit nowait:bit "
                "arguments:table",
            ),
            ("consume-ok", 21, "", "consumer-tag"),
            ("cancel", 30, "cancel-ok", "consumer-tag nowait:bit"),
            ("cancel-ok", 31, "", "consumer-tag"),
            ("publish", 40, "", "ticket:short exchange routing-key mandatory:bit immediate:bit"),
            ("return", 50, "", "reply-code:short reply-text exchange routing-key"),
            ("deliver", 60, "", "consumer-tag delivery-tag:longlong redelivered:bit exchange routing-key"),
            ("get", 70, "get-ok get-empty", "ticket:short queue no-ack:bit"),
            (
                "get-ok",
                71,
                "",
                "delivery-tag:longlong redelivered:bit exchange routing-key message-count:long",
            ),
            ("get-empty", 72, "", "reserved-1"),
            ("ack", 80, "", "delivery-tag:longlong multiple:bit"),
            ("reject", 90, "", "delivery-tag:longlong requeue:bit"),
            ("recover", 110, "recover-ok", "requeue:bit"),
            ("recover-ok", 111, "", ""),
            ("nack", 120, "", "delivery-tag:longlong multiple:bit requeue:bit"),
        ),
    ),
    "tx": (
        90,
        "",
        (
            ("select", 10, "select-ok", ""),
            ("select-ok", 11, "", ""),
            ("commit", 20, "commit-ok", ""),
            ("commit-ok", 21, "", ""),
            ("rollback", 30, "rollback-ok", ""),
            ("rollback-ok", 31, "", ""),
        ),
    ),
    "confirm": (85, "", (("select", 10, "select-ok", "nowait:bit"), ("select-ok", 11, "", ""))),
}

_WITH_CONTENT = {("basic", "publish"), ("basic", "return"), ("basic", "deliver"), ("basic", "get-ok")}


@cache
def amqp_0_9_1() -> Spec:
    """Return the specification. It is built once and shared, so it must not be changed."""
    spec = Spec(0, 9, "amqp0-9-1")
    for name, number in _CONSTANTS.items():
        spec.constants.add(Constant(spec, name, number, None, []))
    for name, (number, properties, methods) in _CLASSES.items():
        klass = Class(spec, name, number, "channel", [])
        _add_fields(klass.fields, properties)
        for line in methods:
            klass.methods.add(_method(klass, *line))
        _resolve_responses(klass)
        spec.classes.add(klass)
    spec.post_load()
    return spec


def _method(klass: Class, name: str, number: int, responses: str, arguments: str) -> Method:
    content = (klass.name, name) in _WITH_CONTENT
    method = Method(klass, name, number, content, responses.split(), bool(responses), "", [])
    _add_fields(method.fields, arguments)
    return method


def _add_fields(container: object, line: str) -> None:
    for number, item in enumerate(line.split()):
        name, _, kind = item.partition(":")
        # txAMQP has no types.
        container.add(Field(name, number, kind or "shortstr", []))  # type: ignore[attr-defined]


def _resolve_responses(klass: Class) -> None:
    for method in klass.methods:
        method.responses = [klass.methods.byname[name] for name in method.responses]
        for response in method.responses:
            response.response = True
