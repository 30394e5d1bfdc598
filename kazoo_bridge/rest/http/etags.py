"""Conditional requests: ``If-Match`` and ``If-None-Match`` (RFC 9110, section 13)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen
from twisted.web.iweb import IRequest

from kazoo_bridge.rest.http.errors import precondition_failed

#: A tag, possibly weak. KAZOO's clients also send the revision without quotes.
_TAG = re.compile(r'(?:^|,)\s*(W/)?(?:"([^"]*)"|([^\s,"]+))\s*(?=,|$)')


@frozen
class EntityTags:
    """The tags of one header; `any`: the header is ``*``, which matches every revision."""

    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()
    any: bool = False

    @classmethod
    def parse(cls, header: str) -> EntityTags:
        """Parse the value of a header. Text that is not a tag is ignored, so that it matches nothing."""
        if header.strip() == "*":
            return cls(any=True)
        tags = list(_tags(header))
        return cls(
            frozenset(tag for weak, tag in tags if not weak), frozenset(tag for weak, tag in tags if weak)
        )

    @classmethod
    def from_request(cls, request: IRequest, name: str) -> EntityTags | None:
        """Parse the header `name` of a request, sent once or several times; None if it was not sent."""
        values = request.requestHeaders.getRawHeaders(name.encode())
        return None if values is None else cls.parse(b", ".join(values).decode("utf-8", "replace"))

    def matches(self, revision: str) -> bool:
        """Compare weakly: return whether `revision` is one of the tags, weak or strong."""
        return self.any or revision in self.strong or revision in self.weak

    def matches_strongly(self, revision: str) -> bool:
        """Compare strongly: return whether `revision` is one of the strong tags."""
        return self.any or revision in self.strong


def is_not_modified(request: IRequest, revision: str) -> bool:
    """Return whether a GET or HEAD is to be answered with 304: the client has `revision` already."""
    if request.method not in (b"GET", b"HEAD"):
        return False
    tags = EntityTags.from_request(request, "If-None-Match")
    return tags is not None and tags.matches(revision)


def check_preconditions(request: IRequest, revision: str) -> None:
    """Check a write against the document's current `revision`; raises 412 if a condition does not hold."""
    required = EntityTags.from_request(request, "If-Match")
    excluded = EntityTags.from_request(request, "If-None-Match")
    if required is not None and not required.matches_strongly(revision):
        raise precondition_failed()
    if excluded is not None and excluded.matches(revision):
        raise precondition_failed()


def _tags(header: str) -> Iterator[tuple[bool, str]]:
    """Yield (weak, tag)."""
    for match in _TAG.finditer(header):
        yield bool(match[1]), match[2] if match[2] is not None else match[3]
