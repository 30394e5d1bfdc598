"""Pivot points: KAZOO asks what to do with a call, and a connected client answers with a flow."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


@frozen
class StoredPivot:
    """A pivot point as it is stored.

    `id`: 32 hexadecimal characters. `account_id`: the account that the pivot point belongs to.

    `document`: the public JSON object (``name``, ``timeout_ms``, ``fallback``, ``strategy``, ``enabled``,
    ``source_networks``).

    `secret`: a part of the URL that KAZOO requests. `revision`: changes with every write.

    `created` and `modified`: times in Gregorian seconds.
    """

    id: str
    account_id: str
    document: Mapping[str, Any]
    secret: str = field(repr=False)
    revision: str
    created: int
    modified: int

    @property
    def name(self) -> str:
        """The name, which is unique in the account."""
        return str(self.document["name"])


class PivotNameInUse(Exception):
    """Another pivot point of the account has the name."""


class TooManyPivots(Exception):
    """The account has `limit` pivot points, and may have no more."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an account may have {limit} pivot points")
        self.limit = limit


@frozen
class PivotRecord:
    """A request of KAZOO that has been answered, as it is stored and listed.

    `document` is the public JSON object. `time` is when it was answered, in Unix seconds.
    """

    account_id: str
    pivot_point_id: str
    time: float
    document: Mapping[str, Any]


class IPivotStore(Interface):
    """Stores pivot points and what was asked of them. Every Deferred may fail with `StorageUnavailable`."""

    def for_account(account_id: str) -> Deferred[Sequence[StoredPivot]]:
        """Return the account's pivot points, by the second of their creation."""

    def by_id(pivot_point_id: str) -> Deferred[StoredPivot | None]:
        """Return a pivot point of any account; None if there is none of that id."""

    def create(account_id: str, document: Mapping[str, Any], secret: str) -> Deferred[StoredPivot]:
        """Store a new pivot point. Fails with `PivotNameInUse` and `TooManyPivots`."""

    def replace(
        pivot: StoredPivot, document: Mapping[str, Any], secret: str | None = None
    ) -> Deferred[StoredPivot]:
        """Replace the document, and the secret unless it is None.

        Fails with `RevisionConflict` if `pivot` is not the current revision, and with `PivotNameInUse`.
        """

    def delete(pivot: StoredPivot) -> Deferred[None]:
        """Delete a pivot point and its records. Fails with `RevisionConflict`."""

    def delete_of_account(account_id: str) -> Deferred[None]:
        """Delete all pivot points of an account."""

    def add_records(records: Sequence[PivotRecord]) -> Deferred[None]:
        """Store records of requests."""

    def records(account_id: str, pivot_point_id: str) -> Deferred[Sequence[PivotRecord]]:
        """Return the latest records of a pivot point, newest first."""


@frozen
class KazooRequest:
    """A request of KAZOO: the decoded parameters of its query, its body, and the client's IP address."""

    query: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)
    address: str


@frozen
class PivotReply:
    """What KAZOO receives: a body and its content type. An empty body ends Pivot."""

    body: bytes
    content_type: str = "application/json"


@frozen
class PivotAnswer:
    """A client's answer: a flow, or TwiML.

    `answered_by`: what other clients see of the client. `client`: the client on its node, empty for REST.
    """

    flow: Mapping[str, Any] | None = None
    twiml: str | None = None
    answered_by: Mapping[str, Any] = field(factory=dict)
    client: str = ""


class AnswerRefused(Exception):
    """An answer is not valid; `errors` maps field names to rules, as in REST's validation errors."""

    def __init__(self, errors: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        super().__init__(
            "; ".join(
                f"{name}: {rule['message']}" for name, rules in errors.items() for rule in rules.values()
            )
        )
        self.errors = errors


class UnknownPivotRequest(Exception):
    """No request of that id waits for an answer: it was answered, its time is over, or it never was."""


class PivotRefused(Exception):
    """A request of KAZOO is refused: `status` is that of the response, and the text says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class IPivotClients(Interface):
    """The clients of one node that have subscribed to ``pivot.{NAME}``."""

    def candidates(account_id: str, name: str) -> Sequence[str]:
        """Return the connected clients that would be asked, each once."""

    def ask(
        account_id: str, name: str, event: Mapping[str, Any], only: Sequence[str] | None
    ) -> Sequence[str]:
        """Send an event to the connected clients, or to those of them in `only`; return the clients.

        `event` is a message with KAZOO's envelope and key names.
        """


class IPivots(Interface):
    """Pivot points of accounts. The caller has checked the rights on the account.

    All methods that return an Awaitable may raise `StorageUnavailable`.
    """

    pivot_schema: Mapping[str, Any] = Attribute("The JSON schema of a pivot point's document.")

    def points(account_id: str) -> Awaitable[Sequence[StoredPivot]]:
        """Return the account's pivot points, by the second of their creation."""

    def point(account_id: str, pivot_point_id: str) -> Awaitable[StoredPivot | None]:
        """Return a pivot point of the account; None if it has none of that id."""

    def create(account_id: str, data: Mapping[str, Any]) -> Awaitable[StoredPivot]:
        """Create a pivot point. Raises `InvalidDocument`."""

    def replace(pivot: StoredPivot, data: Mapping[str, Any]) -> Awaitable[StoredPivot]:
        """Replace the document. Raises `InvalidDocument` and `RevisionConflict`."""

    def patch(pivot: StoredPivot, data: Mapping[str, Any]) -> Awaitable[StoredPivot]:
        """Replace keys of the document; null removes a key. Raises like `replace`."""

    def renew_secret(pivot: StoredPivot) -> Awaitable[StoredPivot]:
        """Give the pivot point a new URL; the former one ends. Raises `RevisionConflict`."""

    def delete(pivot: StoredPivot) -> Awaitable[None]:
        """Delete a pivot point. Raises `RevisionConflict`."""

    def records(pivot: StoredPivot) -> Awaitable[Sequence[PivotRecord]]:
        """Return the latest requests of a pivot point, newest first."""

    def ask(pivot_point_id: str, secret: str, request: KazooRequest) -> Awaitable[PivotReply]:
        """Let clients answer a request of KAZOO, within the pivot point's time. Raises `PivotRefused`."""

    def call_ended(pivot_point_id: str, secret: str, request: KazooRequest) -> Awaitable[None]:
        """Pass the CDR of a call on to clients, as ``pivot_ended``. Raises `PivotRefused`."""

    def answer(
        account_id: str, pivot_id: str, answer: PivotAnswer, pivot_point_id: str | None = None
    ) -> Awaitable[None]:
        """Answer a request of the account that waits on any node.

        `pivot_point_id`: the request must be one to this pivot point; None: to any of the account.

        Raises `AnswerRefused`, `UnknownPivotRequest`, and `BusUnavailable` for a request on another node.
        """
