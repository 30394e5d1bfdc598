"""The delivery suite on SQLite."""

from tests.storage.delivery_suite import *  # noqa: F403
