"""The query of a request's URI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from attrs import frozen

from kazoo_bridge.json_numbers import MAX_INTEGER, to_integer
from kazoo_bridge.rest.http.errors import invalid_field, parse_error

MAX_PARAMETERS = 200

#: The largest absolute value of a whole number.
MAX_NUMBER = MAX_INTEGER

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@frozen
class Query:
    """The decoded parameters (name, value) in the order in which they were given."""

    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, uri: bytes) -> Query:
        """Parse the query of a URI.

        Raises a parse error for broken percent-encoding, for bytes that are not UTF-8, and for more than
        `MAX_PARAMETERS` parameters.
        """
        raw = uri.partition(b"?")[2]
        refuse_broken_escapes(raw, "query")
        try:
            pairs = parse_qsl(
                raw.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
            )
        except UnicodeDecodeError:
            raise parse_error("the query is not UTF-8") from None
        except ValueError:
            raise parse_error(f"the query may have {MAX_PARAMETERS} parameters at most") from None
        return cls(tuple(pairs))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.parameters)

    def first(self, name: str) -> str | None:
        """Return the first value of a parameter; None without one."""
        return next((value for given, value in self.parameters if given == name), None)

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return [value for given, value in self.parameters if given == name]


def refuse_broken_escapes(raw: bytes, part: str) -> None:
    """Check that two hexadecimal digits follow each percent sign; raises a parse error on the `part`."""
    if _BROKEN_ESCAPE.search(raw):
        raise parse_error(f"the {part} has a broken percent-encoding")


def whole_number(name: str, text: str, minimum: int | None = None) -> int:
    """Return the whole number of a parameter's text; raises a validation error on the parameter."""
    number = to_integer(text, accept_text=True)
    if number is None:
        raise invalid_field(name, "type", "expected a whole number", target="integer", cause=text[:100])
    if minimum is not None and number < minimum:
        raise invalid_field(name, "minimum", target=minimum, cause=number)
    return number
