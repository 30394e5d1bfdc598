from __future__ import annotations

from twisted.internet.task import Clock

from kazoo_bridge.directory.crossbar.availability import PAUSE_AFTER_FAILURE, Availability


def test_it_is_away_until_it_answers() -> None:
    clock = Clock()
    availability = Availability(clock)
    assert (availability.reason, availability.has_answered, availability.pauses) == (None, False, False)
    availability.failed("timeout")
    assert (availability.reason, availability.has_answered, availability.pauses) == ("timeout", False, True)
    clock.advance(PAUSE_AFTER_FAILURE)
    assert (availability.reason, availability.pauses) == ("timeout", False)
    availability.failed("refused")
    assert (availability.reason, availability.pauses) == ("refused", True)
    availability.answered()
    assert (availability.reason, availability.has_answered, availability.pauses) == (None, True, False)
