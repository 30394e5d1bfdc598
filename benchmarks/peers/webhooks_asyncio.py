"""Events from RabbitMQ to webhooks, as an asyncio service would do it: aio-pika, aiohttp, uvloop, orjson.

``python webhooks_asyncio.py SPECIFICATION``: a JSON file, see `PeerContender`. It does what
``webhooks.mjs`` does.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

import aio_pika
import aiohttp
import orjson
import uvloop
from yarl import URL

QUICK_RETRIES = 2
QUICK_RETRY_DELAY = 2.0
RETRY_DELAYS = (5, 30, 120, 600, 1800, 3600)

HOOK_BY_EVENT = {
    "CHANNEL_CREATE": "channel_create",
    "CHANNEL_ANSWER": "channel_answer",
    "CHANNEL_BRIDGE": "channel_bridge",
    "CHANNEL_DESTROY": "channel_destroy",
}

RESERVED_VARIABLES = frozenset(
    (
        *("Account-ID", "Account-Name", "Account-Realm", "Authorizing-ID", "Authorizing-Type", "Auto-Answer"),
        *("Call-Forward", "Call-Waiting-Disabled", "Confirm-Cancel-Timeout", "Confirm-File", "Confirm-Key"),
        *("Fax-Enabled", "Loopback-Bowout", "Media-Encryption-Enforce-Security", "Media-Webrtc", "Owner-ID"),
        *("Presence-ID", "RTCP-MUX", "Realm", "Require-Ignore-Early-Media", "Retain-CID"),
        *("SIP-Invite-Domain", "Simplify-Loopback", "Username"),
    )
)

FROM_EVENT = {
    "call_direction": "Call-Direction",
    "call_id": "Call-ID",
    "callee_id_name": "Callee-ID-Name",
    "callee_id_number": "Callee-ID-Number",
    "caller_id_name": "Caller-ID-Name",
    "caller_id_number": "Caller-ID-Number",
    "custom_application_vars": "Custom-Application-Vars",
    "from": "From",
    "inception": "Inception",
    "other_leg_call_id": "Other-Leg-Call-ID",
    "request": "Request",
    "timestamp": "Timestamp",
    "to": "To",
}
FROM_VARIABLES = {
    "authorizing_id": "Authorizing-ID",
    "authorizing_type": "Authorizing-Type",
    "owner_id": "Owner-ID",
    "reseller_id": "Reseller-ID",
}

SAFE = re.compile(r"[A-Za-z0-9_.~-]*")


def is_true(value: object) -> bool:
    return value is True or value == "true"


def payload_of(hook: str, body: dict[str, Any], cluster_id: str) -> dict[str, Any]:
    variables = body.get("Custom-Channel-Vars") or {}
    from_global = is_true(variables.get("Global-Resource"))
    payload: dict[str, Any] = {
        "hook_event": hook,
        "account_id": variables.get("Account-ID"),
        "custom_channel_vars": {
            name: value for name, value in variables.items() if name not in RESERVED_VARIABLES
        },
        "emergency_resource_used": is_true(variables.get("Emergency-Resource")),
        "is_internal_leg": is_true(body.get("Channel-Is-Loopback")),
        "local_resource_used": not from_global,
    }
    if (forwarded := variables.get("Call-Forward")) is not None:
        payload["call_forwarded"] = is_true(forwarded)
    if not from_global and (resource := variables.get("Resource-ID")) is not None:
        payload["local_resource_id"] = resource
    for name, source in FROM_EVENT.items():
        if (value := body.get(source)) is not None:
            payload[name] = value
    for name, source in FROM_VARIABLES.items():
        if (value := variables.get(source, body.get(source))) is not None:
            payload[name] = value
    payload["cluster_id"] = cluster_id
    return payload


def quote(text: str) -> str:
    return text if SAFE.fullmatch(text) else quote_plus(text)


def add_pairs(pairs: list[str], name: str, value: Any, brackets: tuple[str, str]) -> None:
    if isinstance(value, str):
        pairs.append(f"{name}={quote(value)}")
    elif isinstance(value, bool):
        pairs.append(f"{name}={'true' if value else 'false'}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            add_pairs(pairs, f"{name}{brackets[0]}{quote(key)}{brackets[1]}", inner, brackets)
    elif isinstance(value, list):
        for item in value:
            add_pairs(pairs, f"{name}{brackets[0]}{brackets[1]}", item, brackets)
    elif value is not None:
        pairs.append(f"{name}={value}")


def form_encode(payload: dict[str, Any], brackets: tuple[str, str] = ("[", "]")) -> str:
    pairs: list[str] = []
    for key, value in payload.items():
        add_pairs(pairs, key, value, brackets)
    return "&".join(pairs)


def digest(data: bytes) -> str:
    return f"msg_{hashlib.sha256(data).hexdigest()[:32]}"


class Hook:
    """A hook, with what is the same for all its requests."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.id: str = document["id"]
        self.method: str = document["verb"].upper()
        self.json: bool = document["format"] == "json"
        self.ordered: bool = document["ordered"]
        self.uri: str = document["uri"]
        self.url = URL(document["uri"], encoded=True)
        self.headers = {
            "User-Agent": "asyncio-peer/1.0",
            "X-Hook-ID": document["id"],
            "X-Account-ID": document["account_id"],
        }
        if self.method != "GET":
            kind = "application/json" if self.json else "application/x-www-form-urlencoded"
            self.headers["Content-Type"] = kind
        secret = document["secret"]
        self.key = base64.b64decode(secret.removeprefix("whsec_")) if secret else None
        self.tails: dict[str, asyncio.Task[None]] = {}


class Service:
    """Consumes events and delivers them."""

    def __init__(self, spec: dict[str, Any], session: aiohttp.ClientSession) -> None:
        self.spec = spec
        self.session = session
        self.hooks: dict[str, dict[str, list[Hook]]] = {}
        for document in spec["hooks"]:
            by_type = self.hooks.setdefault(document["account_id"], {})
            by_type.setdefault(document["hook"], []).append(Hook(document))

    async def on_message(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        body = orjson.loads(message.body)
        kind = HOOK_BY_EVENT.get(body.get("Event-Name"), "")
        account = (body.get("Custom-Channel-Vars") or {}).get("Account-ID", "")
        hooks = self.hooks.get(account, {}).get(kind, ())
        if hooks:
            payload = payload_of(kind, body, self.spec["cluster_id"])
            exchange, key = message.exchange or "", message.routing_key or ""
            event_id = digest(b"\0".join((exchange.encode(), key.encode(), message.body)))
            if len(hooks) == 1:
                await self.deliver_to(hooks[0], payload, event_id)
            else:
                await asyncio.gather(*(self.deliver_to(hook, payload, event_id) for hook in hooks))
        await message.ack()

    async def deliver_to(self, hook: Hook, payload: dict[str, Any], event_id: str) -> None:
        if not hook.ordered:
            await self.deliver(hook, payload, event_id)
            return
        call = payload["call_id"]
        before = hook.tails.get(call)
        mine = asyncio.current_task()
        assert mine is not None
        hook.tails[call] = mine
        if before is not None:
            await asyncio.wait([before])
        await self.deliver(hook, payload, event_id)
        if hook.tails.get(call) is mine:
            del hook.tails[call]

    async def deliver(self, hook: Hook, payload: dict[str, Any], event_id: str) -> None:
        webhook_id = digest(f"{event_id}\0{hook.id}".encode())
        headers = {**hook.headers, "webhook-id": webhook_id}
        url, body = hook.url, b""
        if hook.method == "GET":
            joint = "&" if "?" in hook.uri else "?"
            url = URL(f"{hook.uri}{joint}{form_encode(payload, ('%5B', '%5D'))}", encoded=True)
        else:
            body = orjson.dumps(payload) if hook.json else form_encode(payload).encode("ascii")
        if hook.key is not None:
            timestamp = str(int(time.time()))
            mac = hmac.digest(hook.key, f"{webhook_id}.{timestamp}.".encode() + body, "sha256")
            headers["webhook-timestamp"] = timestamp
            headers["webhook-signature"] = f"v1,{base64.b64encode(mac).decode()}"
        attempts = 0
        while not await self.attempt(hook, url, headers, body):
            later = RETRY_DELAYS[min(max(attempts - QUICK_RETRIES, 0), len(RETRY_DELAYS) - 1)]
            await asyncio.sleep(QUICK_RETRY_DELAY if attempts < QUICK_RETRIES else later)
            attempts += 1

    async def attempt(self, hook: Hook, url: URL, headers: dict[str, str], body: bytes) -> bool:
        try:
            async with self.session.request(
                hook.method, url, headers=headers, data=body or None, allow_redirects=False
            ) as response:
                await response.read()
                return response.status == 200 or (hook.method == "PUT" and response.status == 201)
        except (aiohttp.ClientError, TimeoutError):
            return False


async def main(spec: dict[str, Any]) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    per_host = spec["connections_per_receiver"]
    origins = {urlsplit(hook["uri"]).netloc for hook in spec["hooks"]}
    connector = aiohttp.TCPConnector(limit=per_host * len(origins), limit_per_host=per_host)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_read=10, sock_connect=10),
        ) as session,
        await aio_pika.connect(spec["amqp_uri"]) as connection,
    ):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=spec["prefetch"])
        queue = await channel.get_queue(spec["queue"], ensure=False)
        await queue.consume(Service(spec, session).on_message)
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(main(orjson.loads(Path(sys.argv[1]).read_bytes())))
