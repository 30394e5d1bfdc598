"""Telephone numbers."""

from __future__ import annotations

import re

_SEPARATORS = str.maketrans("", "", " -./()")


_NUMBER = re.compile(r"\+?([0-9]{2,32})")


def normalize_number(text: object) -> str | None:
    """The digits of a telephone number, whether it is written with ``+`` and separators or not; None for what is no number."""
    match = (
        _NUMBER.fullmatch(text.translate(_SEPARATORS)) if isinstance(text, str) and len(text) <= 64 else None
    )
    return match[1] if match else None
