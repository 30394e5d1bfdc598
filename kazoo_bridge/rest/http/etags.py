"""``If-Match`` and ``If-None-Match``: requests that depend on a document's revision (RFC 9110, section 13)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

#: A tag, perhaps weak; KAZOO's clients also send the bare revision.
_TAG = re.compile(r'(?:^|,)\s*(W/)?(?:"([^"]*)"|([^\s,"]+))\s*(?=,|$)')


@frozen
class EntityTags:
    """The tags of one header."""

    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()
    any: bool = False

    @classmethod
    def parse(cls, header: str | None) -> EntityTags | None:
        """Read a header; None when there is none. What is no tag matches nothing."""
        if header is None:
            return None
        if header.strip() == "*":
            return cls(any=True)
        tags = list(_tags(header))
        return cls(
            frozenset(tag for weak, tag in tags if not weak), frozenset(tag for weak, tag in tags if weak)
        )

    def has(self, revision: str) -> bool:
        """Whether the revision is one of these, as reading asks for it."""
        return self.any or revision in self.strong or revision in self.weak

    def has_exactly(self, revision: str) -> bool:
        """Whether the revision is one of these, as writing asks for it: a weak tag does not do."""
        return self.any or revision in self.strong


def _tags(header: str) -> Iterator[tuple[bool, str]]:
    for match in _TAG.finditer(header):
        yield bool(match[1]), match[2] if match[2] is not None else match[3]
