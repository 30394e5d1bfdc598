"""Errors that REST answers with, in KAZOO's words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kazoo_bridge.interfaces import (
    AccountHasDescendants,
    AccountNotLocal,
    AccountRefused,
    AnswerRefused,
    BusUnavailable,
    CommandForbidden,
    CommandRefused,
    InvalidDocument,
    LoginRefused,
    NoSwitch,
    RevisionConflict,
    StorageUnavailable,
    TooManyHooks,
    TooManyNewCalls,
    UnknownCall,
    UnknownCommand,
    UnknownPivotRequest,
)
from kazoo_bridge.schema_errors import bounded, field_error
from kazoo_bridge.text_sanitizing import text_for_display


class ApiError(Exception):
    """An error answer: HTTP status, KAZOO's error word, the envelope's ``data``, and further headers."""

    def __init__(
        self, status: int, word: str, data: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {word}")
        self.status = status
        self.word = word
        self.data = data if data is not None else {}
        self.headers = dict(headers or {})


def to_api_error(error: Exception) -> ApiError | None:
    """Return the answer for an error of an interface; None for an error that no client can cause."""
    match error:
        case ApiError():
            return error
        case InvalidDocument() | CommandRefused() | AnswerRefused():
            is_unknown = isinstance(error, UnknownCommand)
            return (invalid_data if is_unknown else validation_error)(error.errors)
        case LoginRefused():
            return ApiError(error.status, error.word, error.data)
        case AccountRefused() | AccountNotLocal() | AccountHasDescendants():
            return _account_error(error)
        case TooManyHooks():
            return too_many_hooks(error.limit)
        case RevisionConflict():
            return conflict()
        case UnknownCall() | UnknownPivotRequest():
            return (unknown_channel if isinstance(error, UnknownCall) else pivot_request_ended)(str(error))
        case CommandForbidden() | TooManyNewCalls() | NoSwitch():
            return _new_call_error(error)
        case BusUnavailable() | StorageUnavailable():
            return bus_fault() if isinstance(error, BusUnavailable) else storage_fault()
    return None


def _new_call_error(error: CommandForbidden | TooManyNewCalls | NoSwitch) -> ApiError:
    match error:
        case TooManyNewCalls():
            return too_many_requests(error.seconds, "new calls")
        case NoSwitch():
            return ApiError(503, "datastore_fault", {"message": str(error)})
    return ApiError(403, "forbidden", {"message": str(error)})


def _account_error(error: AccountRefused | AccountNotLocal | AccountHasDescendants) -> ApiError:
    match error:
        case AccountRefused():
            return invalid_field(error.field, error.rule, str(error))
        case AccountHasDescendants():
            return ApiError(409, "account_has_descendants", {"message": str(error)})
    message = "this account is not of the bridge's own storage: change it in KAZOO"
    return ApiError(403, "forbidden", {"message": message})


def parse_error(problem: str) -> ApiError:
    """Return the error for a request that cannot be parsed; `problem` says what is wrong."""
    return ApiError(400, f"parse error: {problem}", {"message": problem})


def validation_error(errors: Mapping[str, Any]) -> ApiError:
    """Return the error for a wrong document or parameter.

    `errors` maps each field to its rules, and each rule to ``message`` and, where they say more, ``target``
    (what the rule demands), ``cause`` and ``value`` (what was given). The answer is `bounded`.
    """
    return ApiError(400, "validation error", bounded(errors))


def invalid_field(name: str, rule: str, message: str | None = None, **details: Any) -> ApiError:
    """Return the validation error for one rule of one field; see `field_error` for the parameters."""
    return validation_error(field_error(name, rule, message, **details))


def too_many_hooks(limit: int) -> ApiError:
    """Return the error for an account that has `limit` hooks and may have no more."""
    message = (
        f"this account has the {limit} hooks that an account may have: delete some that are not needed, or"
        " ask the operator for more"
    )
    return invalid_field("webhooks", "maxItems", message, target=limit)


def invalid_credentials(
    message: str = "a valid token is required, in X-Auth-Token or Authorization: Bearer",
) -> ApiError:
    """Return the error for a missing or invalid token or API key."""
    return ApiError(401, "invalid_credentials", {"message": message})


def forbidden() -> ApiError:
    """Return the error for a valid token that gives no access."""
    return ApiError(403, "forbidden", {"message": "this token does not give access to this account"})


def restricted() -> ApiError:
    """Return the error for a valid token whose restrictions do not allow the request, in KAZOO's words."""
    return ApiError(403, "forbidden", {"cause": "access denied by token restrictions"})


def bad_identifier(cause: str) -> ApiError:
    """Return the error for an id or a path that does not exist; `cause` is that id or path."""
    shown = text_for_display(cause)
    return ApiError(404, "bad_identifier", {"cause": shown, "message": f"nothing found for {shown}"})


def missing_token() -> ApiError:
    """Return the error for a request about a token that is not in its body, in the words of ``cb_auth``."""
    message = 'expected a body of the form {"data": {"token": "…"}}'
    return ApiError(404, "missing token in request", {"message": message})


def unknown_channel(call_id: str) -> ApiError:
    """Return the error for a channel (or a group) that does not exist, in the words of ``cb_channels``."""
    return ApiError(404, "bad identifier", [text_for_display(call_id)])


def pivot_request_ended(pivot_id: str) -> ApiError:
    """Return the error for an answer to a request that waits no longer."""
    message = "no such request waits for an answer: it has been answered, or its time is over"
    return ApiError(410, "gone", {"cause": text_for_display(pivot_id), "message": message})


def invalid_data(errors: Mapping[str, Any]) -> ApiError:
    """Return the error for a command to a channel that does not exist, in the words of ``cb_channels``.

    `errors` are as for `validation_error`.
    """
    return ApiError(400, "invalid data", bounded(errors))


def invalid_method(allowed: Collection[str]) -> ApiError:
    """Return the error for a method that the path does not have; `allowed` are those it has."""
    methods = ", ".join(sorted(allowed))
    return ApiError(
        405, "invalid_method", {"message": f"allowed here: {methods}"}, headers={"Allow": methods}
    )


def conflict() -> ApiError:
    """Return the error for a document that another client has changed meanwhile."""
    message = "the document has changed in the meantime: read it again, then repeat"
    return ApiError(409, "datastore_conflict", {"message": message})


def not_replayable(attempt_id: str, reason: str) -> ApiError:
    """Return the error for an attempt whose delivery cannot be made again; `reason` says why."""
    message = f"the attempt cannot be replayed: {reason}"
    return ApiError(409, "not_replayable", field_error("attempt_id", "not_kept", message, cause=attempt_id))


def hook_disabled() -> ApiError:
    """Return the error for a delivery that cannot be attempted, because its hook is disabled."""
    message = "the webhook is disabled, so nothing is sent: enable it, which sends what waits, then repeat"
    return ApiError(409, "webhook_disabled", {"message": message})


def precondition_failed() -> ApiError:
    """Return the error for a condition (If-Match, If-None-Match) that does not hold."""
    message = "the document is not at the revision that If-Match or If-None-Match asks for"
    return ApiError(412, "precondition_failed", {"message": message})


def too_large(limit: int, hint: str = "") -> ApiError:
    """Return the error for a body of more than `limit` bytes; `hint` says how more can be sent."""
    return ApiError(413, "too_large", {"message": f"the body may have {limit} bytes at most{hint}"})


def too_many_requests(seconds: int, what: str) -> ApiError:
    """Return the error for a client over a limit on `what` (plural); it may try again in `seconds`."""
    data = {"message": f"too many {what}: try again in {seconds} seconds"}
    return ApiError(429, "too_many_requests", data, headers={"Retry-After": str(seconds)})


def too_many_connections() -> ApiError:
    """Return the error for a request while too many others are under way."""
    data = {"message": "too many requests are under way: try again later"}
    return ApiError(503, "too many connections are open: try again later", data, headers={"Retry-After": "5"})


def unspecified_fault(request_id: str) -> ApiError:
    """Return the error for a defect of the service, which the log has under `request_id`."""
    message = f"an unexpected error; the operator finds it in the log under {request_id}"
    return ApiError(500, "unspecified_fault", {"message": message})


def bus_fault() -> ApiError:
    """Return the error for a message bus that does not answer."""
    message = "the message bus does not answer just now: try again later"
    return ApiError(503, "datastore_fault", {"message": message})


def storage_fault() -> ApiError:
    """Return the error for a storage that does not answer."""
    message = "the storage does not answer just now: try again later"
    return ApiError(503, "datastore_fault", {"message": message})
