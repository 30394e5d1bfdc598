from __future__ import annotations

import pytest

from kazoo_bridge.webhooks.egress import (
    BadDestination,
    mask_credentials,
    parse_destination,
    remove_credentials,
)
from tests.webhooks.hostile_uris import FORBIDDEN, MALFORMED


@pytest.mark.parametrize("uri", MALFORMED)
def test_malformed_uris_are_refused(uri: str) -> None:
    with pytest.raises(BadDestination, match=r"^expected "):
        parse_destination(uri)


@pytest.mark.parametrize("uri", FORBIDDEN)
def test_where_a_uri_leads_is_no_matter_of_syntax(uri: str) -> None:
    assert parse_destination(uri).scheme in ("http", "https")


@pytest.mark.parametrize(
    ("uri", "authority", "target"),
    [
        ("http://Hook.Example", "hook.example", "/"),
        ("https://hook.example.:443?a", "hook.example", "/?a"),
        ("https://hook.example:80/x#y", "hook.example:80", "/x"),
        ("http://_x.hook_1.example:/%7Ea/../b;c?x[y]=@", "_x.hook_1.example", "/%7Ea/../b;c?x[y]=@"),
        ("http://[2606:4700:0::1111]:8080/", "[2606:4700::1111]:8080", "/"),
        ("http://xn--mnchen-3ya.example//a//b", "xn--mnchen-3ya.example", "//a//b"),
        ("http://8.8.8.8/", "8.8.8.8", "/"),
        ("http://1.example/", "1.example", "/"),
        ("http://u@hook.example/", "hook.example", "/"),
        (f"http://{'a' * 63}.example/", f"{'a' * 63}.example", "/"),
        ("http://hook.example:1/", "hook.example:1", "/"),
        ("http://hook.example:65535/", "hook.example:65535", "/"),
    ],
)
def test_the_host_is_normalised_and_the_target_is_not(uri: str, authority: str, target: str) -> None:
    destination = parse_destination(uri)
    assert (destination.authority, destination.target) == (authority, target)


@pytest.mark.parametrize(
    ("uri", "port"), [("http://hook.example/", 80), ("https://hook.example/", 443), ("http://h:81/", 81)]
)
def test_the_port(uri: str, port: int) -> None:
    assert parse_destination(uri).port == port


def test_a_name_has_at_most_253_characters() -> None:
    longest = ".".join(["a" * 61, "b" * 63, "c" * 63, "d" * 63])
    assert len(longest) == 253
    assert parse_destination(f"http://{longest}./").host == longest
    with pytest.raises(BadDestination):
        parse_destination(f"http://a{longest}/")


def test_credentials_become_a_header_and_leave_the_location() -> None:
    destination = parse_destination("https://me:s%65cret%40:x@hook.example/y")
    assert destination.credentials == b"me:secret@:x"
    assert destination.authorization == b"Basic bWU6c2VjcmV0QDp4"
    assert destination.location == "https://hook.example/y"
    assert "cret" not in repr(destination)


def test_without_credentials_there_is_no_header() -> None:
    assert parse_destination("https://@hook.example/").authorization is None
    assert parse_destination("https://hook.example/").authorization is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:secret@hook.example/y@z", "https://***@hook.example/y@z"),
        ("https://secret@a@hook.example", "https://***@hook.example"),
        ("HTTPS://me:secret@hook.example", "HTTPS://***@hook.example"),
        ("https://hook.example/@y", "https://hook.example/@y"),
        ("https://me:secret@\n", "https://***@\n"),
        ("no uri", "no uri"),
    ],
)
def test_credentials_are_masked_and_removed(uri: str, shown: str) -> None:
    assert mask_credentials(uri) == shown
    assert remove_credentials(uri) == shown.replace("***@", "")
