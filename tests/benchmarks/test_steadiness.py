from __future__ import annotations

import pytest

from benchmarks.harness.steadiness import Reading, Tolerance, growths

TOLERANCE = Tolerance(resident=1000, descriptors=2, delayed_calls=2)


def test_what_goes_up_and_down_is_steady() -> None:
    readings = [Reading(50_000 + 900 * (n % 2), 30 + n % 3, 12, 0.0) for n in range(30)]
    assert all(growth.is_steady for growth in growths(readings, TOLERANCE))


@pytest.mark.parametrize("leaking", Tolerance._fields)
def test_a_leak_is_found(leaking: str) -> None:
    step = 100 if leaking == "resident" else 1
    readings = [Reading(50_000, 30, 12, 0.0) for _ in range(30)]
    readings = [one._replace(**{leaking: getattr(one, leaking) + n * step}) for n, one in enumerate(readings)]
    assert [growth.name for growth in growths(readings, TOLERANCE) if not growth.is_steady] == [leaking]


def test_a_single_peak_is_no_growth() -> None:
    readings = [Reading(50_000, 30, 12, 0.0)] * 29 + [Reading(90_000, 90, 90, 0.0)]
    assert all(growth.is_steady for growth in growths(readings, TOLERANCE))


def test_two_readings_are_too_few() -> None:
    with pytest.raises(ValueError, match="2 readings"):
        growths([Reading(1, 1, 1, 0.0)] * 2, TOLERANCE)
