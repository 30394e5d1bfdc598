"""Immutable classes that cost nothing when the program runs: mypy checks what `attrs.frozen` would.

A frozen class of attrs takes several times as long to make an object as a class that is not: for classes with
many fields of which there are a million objects, such as hooks.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen as statically_frozen
else:
    from attrs import define

    statically_frozen = partial(define, unsafe_hash=True)

__all__ = ["statically_frozen"]
