"""The phases of a simulated call."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """The phase of a call."""

    ORIGINATING = "originating"
    ROUTING = "routing"
    DIALLING = "dialling"
    RINGING = "ringing"
    TALKING = "talking"
    CONSULTING = "consulting"
    HELD = "held"
    PARKED = "parked"
    MAILBOX = "mailbox"
    ANNOUNCEMENT = "announcement"
    OVER = "over"
