"""What a request can be refused with, in KAZOO's words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


class ApiError(Exception):
    """A refusal: HTTP status, KAZOO's error word, and details for the ``data`` of the envelope."""

    def __init__(
        self, status: int, word: str, data: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {word}")
        self.status = status
        self.word = word
        self.data = data if data is not None else {}
        self.headers = dict(headers or {})


def parse_error(problem: str) -> ApiError:
    """The body is not what it claims to be."""
    return ApiError(400, f"parse error: {problem}", {"message": problem})


def validation_error(errors: Mapping[str, Any]) -> ApiError:
    """The document is wrong, field by field."""
    return ApiError(400, "validation error", dict(errors))


def too_many_hooks(limit: int) -> ApiError:
    """The account may have no more hooks."""
    message = f"this account has the {limit} hooks that an account may have: delete some that are not needed, or ask the operator for more"
    return validation_error({"webhooks": {"maxItems": {"message": message, "target": limit}}})


def invalid_credentials(
    message: str = "a valid token is required, in X-Auth-Token or Authorization: Bearer",
) -> ApiError:
    """No token or API key, or none that is good."""
    return ApiError(401, "invalid_credentials", {"message": message})


def forbidden() -> ApiError:
    """A good token, for somebody else's things."""
    return ApiError(403, "forbidden", {"message": "this token does not give access to this account"})


def bad_identifier(cause: str) -> ApiError:
    """There is no such thing."""
    return ApiError(404, "bad_identifier", {"cause": cause, "message": f"nothing found for {cause[:100]}"})


def invalid_method(allowed: Collection[str]) -> ApiError:
    """Not with this verb."""
    verbs = ", ".join(sorted(allowed))
    return ApiError(405, "invalid_method", {"message": f"allowed here: {verbs}"}, headers={"Allow": verbs})


def conflict() -> ApiError:
    """Somebody else has changed the document."""
    return ApiError(
        409,
        "datastore_conflict",
        {"message": "the document has changed in the meantime: read it again, then repeat"},
    )


def precondition_failed() -> ApiError:
    """The document is not at the revision that the request was meant for."""
    return ApiError(
        412,
        "precondition_failed",
        {"message": "the document is not at the revision that If-Match or If-None-Match asks for"},
    )


def too_many_requests(seconds: int, what: str) -> ApiError:
    """Enough of that for now; again in some seconds."""
    data = {"message": f"too many {what}: try again in {seconds} seconds"}
    return ApiError(429, "too_many_requests", data, headers={"Retry-After": str(seconds)})


def too_large(limit: int) -> ApiError:
    """More than will be read."""
    return ApiError(413, "too_large", {"message": f"the body may have {limit} bytes at most"})


def bus_fault() -> ApiError:
    """The bus does not answer."""
    return ApiError(
        503, "datastore_fault", {"message": "the message bus does not answer just now: try again later"}
    )


def storage_fault() -> ApiError:
    """The storage does not answer."""
    return ApiError(
        503, "datastore_fault", {"message": "the storage does not answer just now: try again later"}
    )
