"""Operations: one method on one path, and its description in OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from attrs import frozen

from kazoo_bridge.rest.openapi.error_responses import error_responses
from kazoo_bridge.rest.openapi.parameters import REQUEST_ID, REVISIONS, shared

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")


class Access(Enum):
    """Which clients may call an operation."""

    ANY_CLIENT = auto()
    #: No token is needed, and a token shows more.
    TOKEN_OR_NONE = auto()
    TOKEN = auto()

    def requirements(self) -> list[dict[str, list[str]]]:
        """Return OpenAPI's security requirements, one of which must be met; an empty list needs nothing."""
        return [{scheme: []} if scheme else {} for scheme in _SCHEMES[self]]


_SCHEMES: Mapping[Access, Sequence[str]] = {
    Access.ANY_CLIENT: (),
    Access.TOKEN_OR_NONE: ("", "header", "bearer", "query"),
    Access.TOKEN: ("header", "bearer", "query"),
}


@frozen
class Operation:
    """One method on one path.

    `id`, `tag` and `summary` name and describe it. `answers` are the successful responses by status, and
    errors whose response is not the usual one. `refusals` are the error statuses beyond those of every
    operation of its kind. `revised`: its document has revisions, so that conditional requests are possible.
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

    def describe(self) -> dict[str, Any]:
        """Return OpenAPI's description of the operation."""
        described: dict[str, Any] = {
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "security": self.access.requirements(),
            "parameters": [
                *self._path_parameters(),
                *self.parameters,
                *(REVISIONS if self.revised else ()),
                REQUEST_ID,
            ],
            "responses": error_responses(sorted(self._error_statuses()))
            | {str(status): answer for status, answer in self.answers.items()},
        }
        return described | ({"requestBody": self.body} if self.body is not None else {})

    def _path_parameters(self) -> list[Mapping[str, Any]]:
        return [shared(name) for name in _PATH_PARAMETER.findall(self.path)]

    def _error_statuses(self) -> set[int]:
        """Return the statuses of the operation's errors."""
        statuses = {400, 408, 429, 500, 503, *self.refusals}
        if self.method == "post":
            statuses.add(405)  # a POST may carry a verb that is not a method
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
    """Return the document's ``paths``."""
    found: dict[str, dict[str, Any]] = {}
    for operation in operations:
        found.setdefault(operation.path, {})[operation.method] = operation.describe()
    return found
