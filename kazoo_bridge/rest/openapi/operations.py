"""One verb on one path, and how OpenAPI says it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from attrs import frozen

from kazoo_bridge.rest.openapi.error_responses import refused
from kazoo_bridge.rest.openapi.parameters import REQUEST_ID, REVISIONS, shared

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


class Access(Enum):
    """Who may ask."""

    ANYBODY = auto()
    #: A token shows more, and none is needed.
    TOKEN_OR_NONE = auto()
    TOKEN = auto()

    def requirements(self) -> list[dict[str, list[str]]]:
        """As OpenAPI's security requirements: one of these must be met; none: everybody meets them."""
        return [{scheme: []} if scheme else {} for scheme in _SCHEMES[self]]


_SCHEMES: Mapping[Access, Sequence[str]] = {
    Access.ANYBODY: (),
    Access.TOKEN_OR_NONE: ("", "header", "bearer", "query"),
    Access.TOKEN: ("header", "bearer", "query"),
}


@frozen
class Operation:
    """`id`, `tag` and `summary` are for people and for clients that are made of the document.

    `answers` has a response for each status of success. `refusals` are further statuses that only this operation is refused with.
    `revised`: it is about a document with revisions, which conditional requests are for.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    answers: Mapping[int, Mapping[str, Any]]
    parameters: Sequence[Mapping[str, Any]] = ()
    body: Mapping[str, Any] | None = None
    access: Access = Access.TOKEN
    refusals: Iterable[int] = ()
    revised: bool = False

    def described(self) -> dict[str, Any]:
        """As it stands in the document."""
        described: dict[str, Any] = {
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "security": self.access.requirements(),
            "parameters": [
                *self._of_path(),
                *self.parameters,
                *(REVISIONS if self.revised else ()),
                REQUEST_ID,
            ],
            "responses": {str(status): answer for status, answer in self.answers.items()}
            | refused(sorted(self._refusals())),
        }
        return described | ({"requestBody": self.body} if self.body is not None else {})

    def _of_path(self) -> list[Mapping[str, Any]]:
        return [shared(name) for name in _PATH_PARAMETER.findall(self.path)]

    def _refusals(self) -> set[int]:
        """What can happen with any operation of this kind."""
        statuses = {400, 408, 429, 500, 503, *self.refusals}
        if self.method == "post":
            statuses.add(405)  # a POST may carry a verb that is none
        if self.method != "get":
            statuses.add(413)
        if self.access is Access.TOKEN:
            statuses.add(401)
        if "{account_id}" in self.path:
            statuses |= {403, 404}
        if self.revised and self.method != "get":
            statuses |= {409, 412}
        return statuses


def make_paths(operations: Iterable[Operation]) -> dict[str, dict[str, Any]]:
    """The document's ``paths``."""
    found: dict[str, dict[str, Any]] = {}
    for operation in operations:
        found.setdefault(operation.path, {})[operation.method] = operation.described()
    return found
