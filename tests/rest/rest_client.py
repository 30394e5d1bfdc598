"""REST as a customer uses it."""

from __future__ import annotations

import json
from typing import Any

import treq

from kazoo_bridge.node.node import Node

ACCOUNT, CHILD, STRANGER = "a" * 32, "b" * 32, "c" * 32
GOOD = {"name": "n", "uri": "http://127.0.0.1:9/x", "hook": "channel_create"}


class Client:
    """Sends requests to a bridge, with a token unless told otherwise."""

    def __init__(self, bridge: Node) -> None:
        self.bridge = bridge
        self.token = ""
        self.base = f"http://{bridge.http_host}"

    async def __call__(
        self,
        verb: str,
        path: str,
        data: Any = None,
        *,
        token: str | None = None,
        raw: bytes | None = None,
        **headers: str,
    ) -> Any:
        token = self.token if token is None else token
        sent = {"X-Auth-Token": token} if token else {}
        body = raw if raw is not None else None if data is None else json.dumps({"data": data}).encode()
        response = await treq.request(
            verb, self.base + path, headers={**sent, **headers}, data=body, persistent=False
        )
        text = await response.text()
        response.json_body = json.loads(text) if text.startswith("{") else None
        response.text_body = text
        return response


def hooks(account_id: str = ACCOUNT, hook_id: str = "") -> str:
    return f"/v2/accounts/{account_id}/webhooks" + (f"/{hook_id}" if hook_id else "")
