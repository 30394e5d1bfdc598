"""The attempt suite on SQLite."""

from tests.storage.attempt_suite import *  # noqa: F403
