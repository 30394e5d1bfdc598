"""A node of the switch on a real broker, in a thread: publishes what happens to calls, answers questions about them, hears commands."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from typing import Any

import pika

from tests.browser.world import ACCOUNT, Switch


class SwitchNode:
    """Its calls begin and end here; nothing is told of them while `silent`."""

    def __init__(self, uri: str) -> None:
        self.commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self._live: dict[str, dict[str, Any]] = {}
        self._switch = Switch(uri)
        self._answering = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._answering.channel()
        for exchange, kind in (("callevt", "topic"), ("metaflow", "topic"), ("targeted", "direct")):
            self._channel.exchange_declare(exchange, kind, durable=False, auto_delete=False)
        self._listen("callevt", "call.status_req.#", self._asked)
        self._listen("metaflow", "#", self.commands.put)
        self._thread = threading.Thread(target=self._channel.start_consuming, daemon=True)
        self._thread.start()

    def _listen(self, exchange: str, pattern: str, heard: Callable[[dict[str, Any]], None]) -> None:
        name = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(name, exchange, pattern)
        self._channel.basic_consume(name, lambda _, __, ___, body: heard(json.loads(body)), auto_ack=True)

    def begin(self, call_id: str, account_id: str = ACCOUNT, *, silent: bool = False, **more: Any) -> None:
        """A call begins, and is answered at once."""
        names = {
            "Caller_ID_Name": f"Caller {call_id}",
            "Caller_ID_Number": "+15550100",
            "Callee_ID_Number": "2001",
            **more,
        }
        self._live[call_id] = {
            "uuid": call_id,
            "account_id": account_id,
            "answered": True,
            "direction": "inbound",
            "timestamp": 63961574400,
        }
        if not silent:
            self._switch.event("CHANNEL_CREATE", call_id, account_id, **names)
            self._switch.event("CHANNEL_ANSWER", call_id, account_id, **names)

    def end(self, call_id: str, *, silent: bool = False) -> None:
        """A call ends."""
        account_id = self._live.pop(call_id)["account_id"]
        if not silent:
            self._switch.event("CHANNEL_DESTROY", call_id, account_id, Hangup_Cause="NORMAL_CLEARING")

    def event(self, name: str, call_id: str, **more: Any) -> None:
        """Anything else that happens to a call."""
        self._switch.event(name, call_id, self._live[call_id]["account_id"], **more)

    def _asked(self, question: dict[str, Any]) -> None:
        if question["Event-Name"] == "query_account_channels_req":
            channels: Any = [
                one for one in list(self._live.values()) if one["account_id"] == question["Account-ID"]
            ]
        else:
            one = self._live.get(question["Call-ID"])
            if one is None:
                return
            channels = {
                question["Call-ID"]: {
                    "Call-ID": one["uuid"],
                    "Account-ID": one["account_id"],
                    "Answered": True,
                    "Other-Leg-Call-ID": "other",
                }
            }
        name = question["Event-Name"].replace("_req", "_resp")
        answer = {
            "App-Name": "ecallmgr",
            "App-Version": "4",
            "Event-Category": "call_event",
            "Event-Name": name,
            "Msg-ID": question["Msg-ID"],
        }
        body = json.dumps(answer | {"Channels": channels}).encode()
        self._channel.basic_publish("targeted", question["Server-ID"], body)

    def close(self) -> None:
        """Hang up on the broker."""
        self._answering.add_callback_threadsafe(self._channel.stop_consuming)
        self._thread.join(10)
        self._answering.close()
        self._switch.close()
