from __future__ import annotations

import pytest

from kazoo_bridge.config.couch_uri import CouchUri, parse_couch_uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("http://127.0.0.1:15984", CouchUri("http://127.0.0.1:15984")),
        ("http://db.example.com/", CouchUri("http://db.example.com")),
        (
            "https://kazoo:p%40ss%2Fw@db.example.com:6984/couch/",
            CouchUri("https://db.example.com:6984/couch", "kazoo", "p@ss/w"),
        ),
        ("http://[::1]:5984", CouchUri("http://[::1]:5984")),
    ],
)
def test_it_is_parsed(text: str, uri: CouchUri) -> None:
    assert parse_couch_uri(text) == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "db.example.com:15984",
        "couchdb://kazoo:s3cret@db.example.com",
        "http://kazoo:s3cret@",
        "http://kazoo:s3/cret@db.example.com",
        "http://kazoo:s3#cret@db.example.com",
        "http://kazoo:s3?cret@db.example.com",
        "http://kazoo:s3cret@db.example.com:none",
        "http://kazoo:s3cret@db.example.com:0",
        "http://kazoo:s3 cret@db.example.com",
        "http://kazoo:s3cret\n@db.example.com",
    ],
)
def test_a_mistake_is_named_without_the_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected http://user:password@host:15984") as raised:
        parse_couch_uri(text)
    assert "s3" not in str(raised.value)


def test_the_password_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(parse_couch_uri("http://kazoo:s3cret@db.example.com"))
