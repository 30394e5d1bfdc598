"""A stand-in for crossbar: KAZOO's envelope and status codes, over HTTP; slow, down, wrong or lying if asked.

The answers are shaped like those of ``cb_token_auth``, ``cb_api_auth``, ``cb_user_auth``, ``cb_accounts`` and
``cb_phone_numbers`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.protocols.policies import WrappingFactory
from twisted.web.server import Site

#: The account of the API key: above all others.
MASTER = "0" * 32
RESELLER, CUSTOMER, SIBLING, DISABLED = "1" * 32, "2" * 32, "3" * 32, "4" * 32
#: An account that is not below the account of the API key.
FOREIGN = "f" * 32

API_KEY = "the-api-key-of-the-bridge"

#: ``md5("user:password")`` of a user.
CREDENTIALS = "a" * 32


@frozen
class Record:
    """An account. `tree`: from the top to the parent."""

    name: str
    tree: tuple[str, ...] = ()
    superadmin: bool = False
    enabled: bool = True


def accounts() -> dict[str, Record]:
    return {
        MASTER: Record("Master", (), superadmin=True),
        RESELLER: Record("Reseller", (MASTER,)),
        CUSTOMER: Record("Customer", (MASTER, RESELLER)),
        SIBLING: Record("Sibling", (MASTER, RESELLER)),
        DISABLED: Record("Disabled", (MASTER, RESELLER), enabled=False),
    }


def tokens() -> dict[str, dict[str, Any]]:
    return {
        "token-of-master": {"account_id": MASTER},
        "token-of-reseller": {"account_id": RESELLER},
        "token-of-customer": {"account_id": CUSTOMER, "owner_id": "9" * 32, "method": "cb_user_auth"},
        "token-of-disabled": {"account_id": DISABLED},
        "token-of-foreign": {"account_id": FOREIGN},
        "token-restricted": {"account_id": CUSTOMER, "restrictions": {"get": ["accounts/*/webhooks/#"]}},
    }


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status, self.message = status, message


@define(eq=False)
class StandInCrossbar:
    """The stand-in.

    `asked` counts requests by method and path. While `held`, answers wait until `release`. `lie` may return
    what is answered instead: a status and the bytes of a body.
    """

    accounts: dict[str, Record] = field(factory=accounts)
    tokens: dict[str, dict[str, Any]] = field(factory=tokens)
    api_keys: dict[str, str] = field(factory=lambda: {API_KEY: MASTER})
    users: dict[str, str] = field(factory=lambda: {CREDENTIALS: CUSTOMER})
    numbers: dict[str, str] = field(factory=lambda: {"+4722555019": CUSTOMER})
    asked: Counter[str] = field(factory=Counter)
    headers: list[dict[str, str]] = field(factory=list)
    bodies: list[bytes] = field(factory=list)
    lie: Callable[[str, str], tuple[int, bytes] | None] = lambda _method, _path: None
    held: Deferred[None] | None = None
    page_size: int = 2
    #: Rows of lists, and documents by id, as ``{account: {"users": {id: (row, document)}}}``.
    people: dict[str, dict[str, dict[str, tuple[Any, Any]]]] = field(factory=dict)
    _logins: int = 0
    _port: IListeningPort | None = None
    _connections: WrappingFactory | None = None

    @property
    def port(self) -> int:
        assert self._port is not None
        return int(getattr(self._port.getHost(), "port", 0))

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2"

    def start(self, port: int = 0) -> None:
        app = Klein()
        app.route("/v2/", methods=["GET", "PUT", "DELETE", "POST"], branch=True)(self._handle)
        self._connections = WrappingFactory(Site(app.resource()))
        listening: Any = reactor
        self._port = listening.listenTCP(port, self._connections, interface="127.0.0.1")

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._port is not None:
            port, self._port = self._port, None
            self.abort_connections()
            closed: Any = port.stopListening()
            await closed

    def abort_connections(self) -> None:
        assert self._connections is not None
        for connection in list(self._connections.protocols):
            connection.abortConnection()

    def hold(self) -> None:
        """Let all answers wait."""
        self.held = Deferred()

    def release(self) -> None:
        held, self.held = self.held, None
        if held is not None:
            held.callback(None)

    async def _handle(self, request: Any) -> bytes:
        method, path = request.method.decode(), request.path.decode().removeprefix("/v2")
        self.asked[f"{method} {path}"] += 1
        names = request.requestHeaders.getAllRawHeaders()
        self.headers.append({name.decode().lower(): values[0].decode() for name, values in names})
        body = request.content.read()
        self.bodies.append(body)
        if self.held is not None:
            waiting: Deferred[None] = Deferred()
            self.held.addCallback(lambda _: waiting.callback(None))
            await waiting
        request.setHeader("Content-Type", "application/json")
        lie = self.lie(method, path)
        if lie is not None:
            request.setResponseCode(lie[0])
            return lie[1]
        token = request.getHeader("x-auth-token")
        envelope: dict[str, Any] = {
            "request_id": "r",
            "node": "stand-in",
            "timestamp": "2026-01-01T00:00:00Z",
        }
        try:
            status, more = self._answer(method, path, token, body, request.args)
            envelope |= {"status": "success", "version": "4.3", "auth_token": token, **more}
        except Refusal as refusal:
            status = refusal.status
            envelope |= {
                "status": "error",
                "error": str(status),
                "message": refusal.message,
                "data": {"message": refusal.message},
            }
        request.setResponseCode(status)
        return json.dumps(envelope).encode()

    def _answer(
        self, method: str, path: str, token: str | None, body: bytes, query: Any
    ) -> tuple[int, dict[str, Any]]:
        if method == "PUT" and path in ("/api_auth", "/user_auth"):
            return 201, self._log_in(path, json.loads(body)["data"])
        claims = self.tokens.get(token or "")
        if claims is None:
            raise Refusal(401, "invalid_credentials")
        if path == "/token_auth":
            if method == "DELETE":
                del self.tokens[token or ""]
                return 200, {"data": {}}
            return 200, {"data": {**claims, "account_name": "a name", "apps": [], "language": "en-us"}}
        _, _, account_id, *rest = path.split("/")
        account = self.accounts.get(account_id)
        own = claims["account_id"]
        if account is None or (account_id != own and own not in account.tree):
            raise Refusal(403 if account is not None else 404, "forbidden")
        match rest:
            case ["users" | "devices", "known", "quickcall", number]:
                endpoints = [{"invite_format": "username", "outbound_call_id": f"{number}-quickcall"}]
                return 202, {"data": {"application_name": "transfer", "endpoints": endpoints}}
        return 200, self._describe(account_id, account, own, rest, query)

    def _describe(
        self, account_id: str, account: Record, own: str, rest: list[str], query: Any
    ) -> dict[str, Any]:
        match rest:
            case []:
                data: Any = {
                    "id": account_id,
                    "name": account.name,
                    "realm": f"{account_id[:1]}.sip.example.com",
                    "superduper_admin": account.superadmin,
                    "enabled": account.enabled,
                    "language": "en-us",
                }
            case ["tree" | "parents"]:
                tree = account.tree[account.tree.index(own) :] if own in account.tree else ()
                data = [{"id": one, "name": self.accounts[one].name} for one in tree if one in self.accounts]
            case ["descendants"]:
                below = sorted(one for one, record in self.accounts.items() if account_id in record.tree)
                start = int(query.get(b"start_key", [b"0"])[0])
                page = below[start : start + self.page_size]
                following = start + self.page_size
                return {
                    "data": [{"id": one, "name": self.accounts[one].name} for one in page],
                    **({"next_start_key": str(following)} if following < len(below) else {}),
                }
            case ["users" | "devices" | "groups" | "callflows" as kind, *member]:
                return self._members(self.people.get(account_id, {}).get(kind, {}), member, query)
            case ["phone_numbers", number, "identify"]:
                dialled = number.replace("%2B", "+")
                if not dialled.startswith("+"):
                    dialled = f"+{dialled}" if dialled.startswith("47") else f"+47{dialled}"
                owner = self.numbers.get(dialled)
                if owner is None:
                    raise Refusal(404, "bad_identifier")
                data = {"account_id": owner, "number": number}
            case _:
                raise Refusal(404, "bad_identifier")
        return {"data": data}

    def _members(self, members: dict[str, tuple[Any, Any]], member: list[str], query: Any) -> dict[str, Any]:
        if member:
            if member[0] not in members:
                raise Refusal(404, "bad_identifier")
            return {"data": members[member[0]][1]}
        rows, start = [row for row, _ in members.values()], int(query.get(b"start_key", [b"0"])[0])
        following = start + self.page_size
        more = {"next_start_key": str(following)} if following < len(rows) else {}
        return {"data": rows[start:following], **more}

    def _log_in(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        if path == "/api_auth":
            account_id = self.api_keys.get(data.get("api_key", ""))
        else:
            account_id = self.users.get(data.get("credentials", ""))
        if account_id is None:
            raise Refusal(401, "invalid_credentials")
        self._logins += 1
        token = f"issued-{self._logins}"
        self.tokens[token] = {"account_id": account_id}
        return {"auth_token": token, "data": {"account_id": account_id, "owner_id": "9" * 32, "apps": []}}
