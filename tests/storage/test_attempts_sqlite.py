"""The attempt suite on SQLite."""

from attempt_suite import *  # noqa: F403
