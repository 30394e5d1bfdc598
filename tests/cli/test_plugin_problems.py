from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.cli.plugin_problems import collect_problems

log = Logger()


def test_errors_and_warnings_are_collected_as_one_line_each() -> None:
    with collect_problems() as problems:
        log.info("nothing")
        log.warn("mistake in {file}", file="a\nb")
        log.error("left out")
        log.failure("cannot be imported", Failure(ValueError("no")))
    log.error("later")
    assert problems.warnings == ["mistake in a\\u000ab"]
    assert problems.errors == ["left out", "cannot be imported: ValueError: no"]
