"""No field of a hook can put a header, a line or a second request on the wire.

Such a document is refused when it is written; a hook that is stored nevertheless does no harm.
"""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.harness import results_of
from tests.webhooks.hook_factory import ACCOUNT, RULES, make_hook
from tests.webhooks.memory_agent import make_memory_agent

EVIL = [
    "x\r\nInjected: 1",
    "x\nInjected: 1",
    "x\rInjected: 1",
    "x\0Injected: 1",
    "x\r\n\r\nGET /Injected HTTP/1.1\r\n\r\n",
    "x\x85Injected: 1",
    "x\u2028Injected: 1",
    "x\u010d\u010aInjected: 1",
    "x HTTP/1.1\r\nInjected: 1",
    "x\udc0d\udc0aInjected: 1",
]
PAYLOAD = {"call_id": "c"}
EXPECTED = {
    "host",
    "x-hook-id",
    "x-account-id",
    "content-type",
    "content-length",
    "connection",
    "user-agent",
    "accept-encoding",
}


def fields(evil: str) -> list[dict[str, Any]]:
    return [
        {"name": evil},
        {"group": evil},
        {"uri": f"http://hook.example/{evil}"},
        {"uri": f"http://hook.example{evil}/"},
        {"uri": f"http://{evil}@hook.example/"},
        {"uri": f"http://hook.example/?{evil}"},
        {"uri": f"http://hook.example/#{evil}"},
        {"custom_data": {"k": evil}},
        {"custom_data": {evil: "v"}},
        {"modifiers": {evil: evil}},
        {"http_verb": f"post {evil}"},
        {"format": f"json{evil}"},
        {"hook": f"channel_create{evil}"},
        {evil: evil},
    ]


FORMS = [{"http_verb": "get"}, {"http_verb": "post"}, {"http_verb": "put", "format": "json"}]


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_documents_with_line_breaks_are_refused(evil: str) -> None:
    good = {"name": "n", "uri": "http://hook.example/", "hook": "channel_create"}
    allowed = "\u2028" in evil or "\u010d" in evil  # text like any other, except in a URI or an enumeration
    for document in fields(evil):
        if allowed and not document.keys() & {"uri", "http_verb", "format", "hook"}:
            RULES.validate({**good, **document})
            continue
        with pytest.raises(InvalidDocument):
            RULES.validate({**good, **document})


def on_the_wire(hook: Hook) -> bytes:
    """Return what a receiver gets, head and body; nothing if no connection is opened."""
    clock, agent = make_memory_agent(["8.8.8.8"])
    sending = Deferred.fromCoroutine(_send(clock, agent, hook))
    results = results_of(sending)
    if not clock.tcpClients:
        assert results
        return b""
    transport = StringTransport()
    protocol = clock.tcpClients[0][2].buildProtocol(IPv4Address("TCP", "8.8.8.8", 80))
    protocol.makeConnection(transport)  # type: ignore[union-attr] # the factory builds one
    sending.cancel()
    sent = bytes(transport.value())
    assert sent.endswith(b"\r\n\r\n" + build_request(hook, PAYLOAD, "").body)
    return sent


async def _send(clock: Any, agent: Any, hook: Hook) -> Outcome:
    return await Sender(clock, agent, 10).send(build_request(hook, PAYLOAD, ""))


def assert_one_clean_request(sent: bytes) -> None:
    head, _, body = sent.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert len(first.split(b" ")) == 3
    headers = {name.decode().lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
    assert len(headers) == len(lines)
    assert headers.keys() <= EXPECTED
    assert len(body) == int(headers.get("content-length", b"0"))
    assert not any(byte < 0x20 or byte > 0x7E for byte in head.replace(b"\r\n", b""))
    assert not any(byte < 0x20 for byte in body)


def test_an_ordinary_request_is_clean() -> None:
    for form in FORMS:
        sent = on_the_wire(make_hook(uri="http://hook.example/", custom_data={"k": "v"}, **form))
        assert b"hook.example" in sent
        assert_one_clean_request(sent)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["http_verb"])
@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_hooks_that_were_stored_before_validation(evil: str, form: dict[str, str]) -> None:
    good = make_hook(uri="http://hook.example/", **form)
    for changed in (
        evolve(good, custom_data={"k": evil}),
        evolve(good, custom_data={evil: "v"}),
        evolve(good, custom_data={"k": {evil: [evil]}}),
        *(evolve(good, uri=document["uri"]) for document in fields(evil) if "uri" in document),
    ):
        sent = on_the_wire(changed)
        if sent:
            assert_one_clean_request(sent)
        assert b"\nInjected" not in sent
        assert b"\rInjected" not in sent


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_hooks_of_events(evil: str) -> None:
    for verb, form in (("get", ""), ("post", "json"), ("put", "form-data"), (evil, evil)):
        document = {
            "uri": "http://hook.example/",
            "http_verb": verb,
            "format": form,
            "id": evil,
            "custom_data": {evil: evil},
        }
        sent = on_the_wire(Hook.from_event(ACCOUNT, "channel_create", document))
        assert sent or "\udc0d" in evil
        if sent:
            assert_one_clean_request(sent)
