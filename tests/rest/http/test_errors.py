from __future__ import annotations

import pytest

from kazoo_bridge.interfaces import (
    BusUnavailable,
    CommandRefused,
    InvalidDocument,
    RevisionConflict,
    StorageUnavailable,
    TooManyHooks,
    UnknownCall,
    UnknownCommand,
)
from kazoo_bridge.rest.http.errors import forbidden, invalid_field, to_api_error, too_many_requests

ERRORS = {"name": {"required": {"message": "this field is required"}}}


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (InvalidDocument(ERRORS), 400, "validation error"),
        (CommandRefused(ERRORS), 400, "validation error"),
        (TooManyHooks(3), 400, "validation error"),
        (UnknownCall("call-1"), 404, "bad identifier"),
        (UnknownCommand(ERRORS), 400, "invalid data"),
        (RevisionConflict(), 409, "datastore_conflict"),
        (BusUnavailable("no connection"), 503, "datastore_fault"),
        (StorageUnavailable("locked"), 503, "datastore_fault"),
    ],
)
def test_errors_of_interfaces_have_an_answer(error: Exception, status: int, word: str) -> None:
    api_error = to_api_error(error)
    assert api_error is not None
    assert (api_error.status, api_error.word) == (status, word)
    if isinstance(error, InvalidDocument | CommandRefused):
        assert api_error.data == ERRORS
    # Internals of the broker and the storage are not shown to clients.
    assert "locked" not in str(api_error.data)
    assert "no connection" not in str(api_error.data)


def test_an_api_error_is_its_own_answer_and_a_defect_has_none() -> None:
    error = forbidden()
    assert to_api_error(error) is error
    assert to_api_error(KeyError("x")) is None


def test_the_limit_of_hooks_is_the_target_of_its_error() -> None:
    api_error = to_api_error(TooManyHooks(3))
    assert api_error is not None
    assert api_error.data["webhooks"]["maxItems"]["target"] == 3


def test_an_invalid_field_names_field_rule_and_value() -> None:
    assert invalid_field("status", "enum", target=["pending"], cause="x").data == {
        "status": {
            "enum": {
                "message": "expected one of the values in target",
                "target": ["pending"],
                "cause": "x",
                "value": "x",
            }
        }
    }


def test_a_limited_client_gets_the_time_to_wait() -> None:
    error = too_many_requests(7, "requests")
    assert (error.status, error.headers) == (429, {"Retry-After": "7"})
    assert error.data == {"message": "too many requests: try again in 7 seconds"}
