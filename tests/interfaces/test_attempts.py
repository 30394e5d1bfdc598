from __future__ import annotations

import pytest

from kazoo_bridge.interfaces import Attempt, HookHealth

SOME = HookHealth(last_success=1.0, last_failure=2.0, successes=3, failures=4)


@pytest.mark.parametrize(
    ("earlier", "later", "merged"),
    [
        (HookHealth(), HookHealth(), HookHealth()),
        (SOME, HookHealth(), SOME),
        (HookHealth(), SOME, SOME),
        (SOME, HookHealth(9.0, None, 1, 0), HookHealth(9.0, 2.0, 4, 4)),
        (SOME, HookHealth(None, 9.0, 0, 1), HookHealth(1.0, 9.0, 3, 5)),
        (SOME, HookHealth(0.0, None, 1, 0), HookHealth(0.0, 2.0, 4, 4)),
    ],
)
def test_health_adds_up_and_the_later_times_count(
    earlier: HookHealth, later: HookHealth, merged: HookHealth
) -> None:
    assert earlier.merge(later) == merged


def test_the_document_of_an_attempt_is_not_in_its_repr() -> None:
    attempt = Attempt("a", "h", "1-x", True, 5.0, {"response_body": "confidential"})
    assert "confidential" not in repr(attempt)
