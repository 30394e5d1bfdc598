"""Token restrictions: the methods and paths for which a token may be used.

KAZOO writes them in two forms, and both are understood. A token names methods and patterns of paths
(``applications/crossbar/doc/token_auth.md`` of ``2600hz/kazoo``)::

    {"get": ["accounts/4f2c…/webhooks/#"], "*": ["accounts/4f2c…/channels"]}

Rules by endpoint are those of ``applications/crossbar/src/modules/cb_token_restrictions.erl``::

    {"webhooks": [{"allowed_accounts": ["{AUTH_ACCOUNT_ID}"], "rules": {"/": ["GET"], "*": ["_"]}}]}

In patterns, ``*`` stands for one segment of the path and ``#`` for any number of segments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

#: Patterns of one token, and characters of a pattern. Restrictions beyond that allow nothing.
MAX_PATTERNS, MAX_PATTERN_LENGTH = 1000, 512

#: Segments of a path. Restrictions allow no longer one: the longest of REST has a dozen.
MAX_SEGMENTS = 64

#: In restrictions: any method, endpoint or account.
_ANY = ("_", "*")

_METHODS = frozenset(("get", "put", "post", "patch", "delete", *_ANY))

#: Resources of REST, whose names in a path begin an endpoint; what follows are its arguments.
_ENDPOINTS = frozenset(
    ("accounts", "channels", "devices", "events", "groups", "limits", "pivots", "users", "websockets")
)
_ENDPOINTS |= {"quickcall", "api_auth", "token_auth", "user_auth", "webhooks"}


@frozen
class AccessedPath:
    """The path that a request names, for `TokenRestrictions`.

    `segments` are decoded, without ``v2``. `account_id` is the account in the path, if there is one.
    `is_own`: it is the token's own account; `is_descendant`: it is below that.
    """

    segments: tuple[str, ...]
    account_id: str | None = None
    is_own: bool = False
    is_descendant: bool = False

    def endpoint(self) -> tuple[str, tuple[str, ...]]:
        """Return the last resource that the path names, and its arguments."""
        found, argument = 0, True
        for index, segment in enumerate(self.segments):
            if found and self.segments[found] == "channels":
                break  # the id of a call may have slashes, and callers choose it
            # What follows the name of a resource is an id, even if it reads like a name.
            argument = not argument and segment in _ENDPOINTS if index else True
            if argument and index:
                found = index
        return (self.segments[found] if self.segments else ""), self.segments[found + 1 :]

    def account_names(self) -> Iterator[str]:
        """Yield the names under which ``allowed_accounts`` may list the account."""
        yield "_"
        if self.account_id is None:
            return
        yield self.account_id
        if self.is_own:
            yield "{AUTH_ACCOUNT_ID}"
        elif self.is_descendant:
            yield "{DESCENDANT_ACCOUNT_ID}"


@frozen
class _Rule:
    """A pattern of segments, and the methods that it allows."""

    pattern: tuple[str, ...]
    methods: frozenset[str]

    def allows(self, method: str) -> bool:
        return method.lower() in self.methods or not self.methods.isdisjoint(_ANY)


@frozen
class _AccountRules:
    """Rules for some accounts; None: for all."""

    accounts: frozenset[str] | None
    rules: tuple[_Rule, ...]


@frozen
class TokenRestrictions:
    """What a token may be used for; see the module. Without any rule it may be used for nothing."""

    _paths: tuple[_Rule, ...] = ()
    _endpoints: tuple[tuple[str, tuple[_AccountRules, ...]], ...] = ()

    @classmethod
    def parse(cls, value: object) -> TokenRestrictions:
        """Parse the ``restrictions`` of a token. What cannot be understood allows nothing."""
        try:
            return cls.parse_strictly(value)
        except ValueError:
            return cls()

    def allows(self, method: str, path: AccessedPath) -> bool:
        """Return whether a request with this method may be made."""
        if len(path.segments) > MAX_SEGMENTS:
            return False  # matching takes time for each segment and each word of a pattern
        method = "GET" if method == "HEAD" else method
        if any(rule.allows(method) and _matches(rule.pattern, path.segments) for rule in self._paths):
            return True
        endpoint, arguments = path.endpoint()
        by_endpoint = dict(self._endpoints)
        names = frozenset(path.account_names())
        # Like KAZOO: the first entry for the account counts, and of its rules the first that matches.
        for entry in by_endpoint.get(endpoint, by_endpoint.get("_", ())):
            if entry.accounts is None or not names.isdisjoint(entry.accounts):
                rules = (rule for rule in entry.rules if _matches(rule.pattern, arguments))
                rule = next(rules, None)
                return rule is not None and rule.allows(method)
        return False

    @classmethod
    def parse_strictly(cls, value: object) -> TokenRestrictions:
        """Parse restrictions. Raises ValueError, whose text says what was expected."""
        if not isinstance(value, Mapping):
            raise ValueError("expected an object")
        paths, endpoints, count = [], [], 0
        for name, entries in value.items():
            if not isinstance(name, str) or not isinstance(entries, list):
                raise ValueError("expected lists by method or endpoint")
            if name.lower() in _METHODS and all(isinstance(entry, str) for entry in entries):
                paths += [_Rule(_split(entry), frozenset((name.lower(),))) for entry in entries]
                count += len(entries)
            else:
                found = tuple(_parse_account_rules(entry) for entry in entries)
                endpoints.append((name, found))
                count += sum(len(entry.rules) for entry in found) + len(found)
            if count > MAX_PATTERNS:
                raise ValueError("too many patterns")
        return cls(tuple(paths), tuple(endpoints))


def _parse_account_rules(entry: object) -> _AccountRules:
    if not isinstance(entry, Mapping):
        raise ValueError("expected an object with rules")
    accounts, rules = entry.get("allowed_accounts"), entry.get("rules", {})
    if not isinstance(rules, Mapping) or len(rules) > MAX_PATTERNS:
        raise ValueError("expected an object of patterns")
    return _AccountRules(
        None if accounts is None else frozenset(_texts(accounts)),
        tuple(
            _Rule(_split(pattern), frozenset(text.lower() for text in _texts(methods)))
            for pattern, methods in rules.items()
        ),
    )


def _texts(value: object) -> Iterable[str]:
    if not isinstance(value, list) or len(value) > MAX_PATTERNS:
        raise ValueError("expected a list of texts")
    for text in value:
        if not isinstance(text, str):
            raise ValueError("expected a list of texts")
        yield text


def _split(pattern: str) -> tuple[str, ...]:
    """Return the segments of a pattern; like KAZOO without empty ones at the end, so ``/`` has none."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError("a pattern is too long")
    return tuple(pattern.rstrip("/").split("/")) if pattern.strip("/") else ()


def _matches(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    """Match segments against a pattern, in time proportional to the product of their lengths."""
    # The numbers of segments that the words of the pattern so far may have taken.
    taken = {0}
    for word in pattern:
        if word == "#":
            taken = set(range(min(taken), len(segments) + 1))
        else:
            taken = {n + 1 for n in taken if n < len(segments) and word in ("*", segments[n])}
        if not taken:
            return False
    return len(segments) in taken
