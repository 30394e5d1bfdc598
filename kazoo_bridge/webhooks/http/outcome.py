"""How one attempt at a delivery went."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class Outcome:
    """`status` is None without an answer, `error` "" with one. Of the answer's body only the beginning is kept."""

    success: bool
    status: int | None = None
    error: str = ""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def connection_failed(self) -> bool:
        """Whether the receiver gave no answer at all."""
        return self.status is None
