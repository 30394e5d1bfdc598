from __future__ import annotations

from typing import Any

from twisted.internet.testing import StringTransport

from kazoo_bridge.node.processes.link import ProcessLink


def test_messages_cross_in_pieces() -> None:
    messages: list[Any] = []
    sender, reader = ProcessLink(lambda _: None), ProcessLink(messages.append)
    transport = StringTransport()
    sender.makeConnection(transport)
    reader.makeConnection(StringTransport())
    sender.send({"do": "look", "id": 1})
    sender.send({"do": "reload"})
    for byte in transport.value():
        reader.dataReceived(bytes([byte]))
    assert messages == [{"do": "look", "id": 1}, {"do": "reload"}]


def test_the_end_of_the_other_side_is_reported_once_it_is_open() -> None:
    closed: list[None] = []
    link = ProcessLink(lambda _: None, lambda: closed.append(None))
    link.send({"do": "stop"})  # not open yet
    link.close()
    link = ProcessLink(lambda _: None, lambda: closed.append(None))
    transport = StringTransport()
    link.makeConnection(transport)
    link.connectionLost()
    link.send({"do": "stop"})
    assert (closed, transport.value()) == ([None], b"")


def test_an_end_that_closes_the_link_itself_is_not_notified() -> None:
    closed: list[None] = []
    link = ProcessLink(lambda _: None, lambda: closed.append(None))
    transport = StringTransport()
    link.makeConnection(transport)
    link.close()
    assert transport.disconnecting
    link.connectionLost()
    assert closed == []
