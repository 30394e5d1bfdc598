"""AMQP URIs."""

from __future__ import annotations

import pytest

from kazoo_bridge.config import AmqpUri, parse_uri, parse_uris


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amqp://host", AmqpUri("host")),
        ("amqp://host/", AmqpUri("host")),
        ("amqp://host:1234/kazoo", AmqpUri("host", 1234, "kazoo")),
        ("amqp://host/%2F", AmqpUri("host", vhost="/")),
        ("amqp://host/%2Fzone%2Fa", AmqpUri("host", vhost="/zone/a")),
        ("amqp://us%40er:p%3Aa%2Cs%2Fs@host", AmqpUri("host", user="us@er", password="p:a,s/s")),
        ("amqp://user:@host", AmqpUri("host", user="user", password="")),
        ("amqp://[::1]:99/", AmqpUri("::1", 99)),
        ("amqps://host", AmqpUri("host", 5671, tls=True)),
        (
            "amqps://host?cacertfile=/etc/ca%20x.pem&heartbeat=5",
            AmqpUri("host", 5671, tls=True, heartbeat=5, cacertfile="/etc/ca x.pem"),
        ),
        ("amqp://host?heartbeat=0", AmqpUri("host", heartbeat=0)),
    ],
)
def test_parts_are_read(text: str, expected: AmqpUri) -> None:
    assert parse_uri(text) == expected


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("http://host", "amqp://"),
        ("amqp://", "no host"),
        ("amqp://host:notaport", "port"),
        ("amqp://host/a/b", "%2F"),
        ("amqp://user:sec#ret@host", "%23|host|port"),
        ("amqp://host?heartbeat=-1", "heartbeat"),
        ("amqp://host?heartbeat=70000", "heartbeat"),
        ("amqp://host?cacertfile=/x", "amqps"),
        ("amqp://host?secret=1", "unknown option"),
        ("amqp://host:0", "port"),
        ("amqp://user:12/sec@host", "%2F"),
        ("amqp://user:12?sec@host", "%3F"),
    ],
)
def test_a_mistake_is_named_without_the_secret(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake) as caught:
        parse_uri(text)
    assert "sec" not in str(caught.value).replace("seconds", "")


def test_several_uris_are_separated_by_commas() -> None:
    assert [uri.host for uri in parse_uris("amqp://one, amqp://two:1/x")] == ["one", "two"]
    with pytest.raises(ValueError, match="URI number 2 is wrong: an AMQP URI starts with"):
        parse_uris("amqp://one, ")


def test_the_password_is_not_shown() -> None:
    uri = parse_uri("amqps://user:geheim@host:99/v")
    assert uri.label == "amqps://host:99/v"
    assert "geheim" not in repr(uri)
    assert parse_uri("amqp://[::1]").label == "amqp://[::1]:5672/"
