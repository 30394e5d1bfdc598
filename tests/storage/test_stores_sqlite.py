"""The store suite on SQLite."""

from store_suite import *  # noqa: F403
