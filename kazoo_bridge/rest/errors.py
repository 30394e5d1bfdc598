"""What a request can be refused with, in KAZOO's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A refusal: HTTP status, KAZOO's error word, and details for the ``data`` of the envelope."""

    def __init__(self, status: int, word: str, data: Any = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {word}")
        self.status = status
        self.word = word
        self.data = data if data is not None else {}
        self.headers = dict(headers or {})


def parse_error(problem: str) -> ApiError:
    """The body is not what it claims to be."""
    return ApiError(400, f"parse error: {problem}", {"message": problem})


def invalid(errors: Mapping[str, Any]) -> ApiError:
    """The document is wrong, field by field."""
    return ApiError(400, "validation error", dict(errors))


def invalid_credentials() -> ApiError:
    """No token, or none that is good."""
    return ApiError(401, "invalid_credentials", {"message": "a valid token is required, in X-Auth-Token or Authorization: Bearer"})


def forbidden() -> ApiError:
    """A good token, for somebody else's things."""
    return ApiError(403, "forbidden", {"message": "this token does not give access to this account"})


def bad_identifier(cause: str) -> ApiError:
    """There is no such thing."""
    return ApiError(404, "bad_identifier", {"cause": cause, "message": f"nothing found for {cause[:100]}"})


def conflict() -> ApiError:
    """Somebody else has changed the document."""
    return ApiError(409, "datastore_conflict", {"message": "the document has changed in the meantime: read it again, then repeat"})


def too_large(limit: int) -> ApiError:
    """More than will be read."""
    return ApiError(413, "too_large", {"message": f"the body may have {limit} bytes at most"})


def storage_fault() -> ApiError:
    """The storage does not answer."""
    return ApiError(503, "datastore_fault", {"message": "the storage does not answer just now: try again later"})
