"""The store suite on SQLite."""

from tests.storage.store_suite import *  # noqa: F403
