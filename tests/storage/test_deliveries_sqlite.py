"""The delivery suite on SQLite."""

from delivery_suite import *  # noqa: F403
