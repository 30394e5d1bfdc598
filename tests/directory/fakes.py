"""What account stores return, for the directory."""

from __future__ import annotations

from attrs import frozen


@frozen
class FakeAccountRow:
    """An account as a store returns it."""

    id: str
    parent_id: str | None = None
    name: str = ""
    realm: str = ""
    superadmin: bool = False
