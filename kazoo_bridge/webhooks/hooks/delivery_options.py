"""How a single hook is delivered to: what counts as success, time-out, retries and the age of events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kazoo_bridge.json_numbers import to_integer

#: The time-out of a hook, in milliseconds. The upper bound is for how long a slow receiver holds a slot.
MIN_TIMEOUT_MS, MAX_TIMEOUT_MS = 100, 30_000

#: The delays of a hook's own schedule: their number, and the longest in seconds.
MAX_RETRY_DELAYS, MAX_RETRY_DELAY = 20, 86_400

#: The largest ``max_age_s``: a week, in seconds.
MAX_AGE_LIMIT = 7 * 86_400

#: A status code, or a class of them.
_STATUS = re.compile(r"[2-5](?:[0-9]{2}|xx)")

MAX_SUCCESS_CODES = 20

#: JSON schemas of the keys of a document.
OPTION_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "success_codes": {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_SUCCESS_CODES,
        "items": {"type": "string", "pattern": f"^{_STATUS.pattern}$"},
        "description": "Statuses of answers that mean success, as codes (200) or classes (2xx);"
        " without it 200, and 201 for put",
    },
    "timeout_ms": {
        "type": "integer",
        "minimum": MIN_TIMEOUT_MS,
        "maximum": MAX_TIMEOUT_MS,
        "description": "The time for the whole answer, in milliseconds; without it the operator's",
    },
    "retry_schedule_s": {
        "type": "array",
        "maxItems": MAX_RETRY_DELAYS,
        "items": {"type": "integer", "minimum": 1, "maximum": MAX_RETRY_DELAY},
        "description": "The delays of the retries after the quick ones, in seconds; [] makes none;"
        " without it the operator's",
    },
    "max_age_s": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_AGE_LIMIT,
        "description": "An event that is older when it could be sent is dropped, in seconds",
    },
}


@frozen
class DeliveryOptions:
    """The options of one hook.

    - `success_statuses`: the statuses that mean success; empty: KAZOO's;
    - `timeout`: seconds for one attempt; None: the configuration's;
    - `retry_delays`: the delays of the scheduled retries in seconds; None: the configuration's;
    - `max_age`: seconds after which an event is not sent any more; None: there is no such age.
    """

    success_statuses: frozenset[int] = frozenset()
    timeout: float | None = None
    retry_delays: tuple[int, ...] | None = None
    max_age: int | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> DeliveryOptions:
        """Read the options of a stored document; an option that is invalid is left out.

        Earlier releases have stored any value under these keys.
        """
        if OPTION_SCHEMAS.keys().isdisjoint(document):
            return NO_OPTIONS
        timeout_ms = _in_range(document.get("timeout_ms"), MIN_TIMEOUT_MS, MAX_TIMEOUT_MS)
        return cls(
            success_statuses=_parse_statuses(document.get("success_codes")),
            timeout=None if timeout_ms is None else timeout_ms / 1000,
            retry_delays=_parse_delays(document.get("retry_schedule_s")),
            max_age=_in_range(document.get("max_age_s"), 1, MAX_AGE_LIMIT),
        )


#: The options of most hooks; one object, as there may be a million of them.
NO_OPTIONS = DeliveryOptions()


def _parse_statuses(codes: object) -> frozenset[int]:
    if not isinstance(codes, list):
        return frozenset()
    statuses: set[int] = set()
    for code in codes[:MAX_SUCCESS_CODES]:
        if not isinstance(code, str) or not _STATUS.fullmatch(code):
            return frozenset()
        first = int(code[0]) * 100
        statuses.update(range(first, first + 100) if code.endswith("xx") else (int(code),))
    return frozenset(statuses)


def _parse_delays(delays: object) -> tuple[int, ...] | None:
    if not isinstance(delays, list):
        return None
    parsed = [_in_range(delay, 1, MAX_RETRY_DELAY) for delay in delays[:MAX_RETRY_DELAYS]]
    return None if None in parsed else tuple(delay for delay in parsed if delay is not None)


def _in_range(value: object, minimum: int, maximum: int) -> int | None:
    number = to_integer(value, accept_text=True)
    return None if number is None else min(max(number, minimum), maximum)
