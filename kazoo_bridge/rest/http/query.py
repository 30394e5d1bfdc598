"""What stands behind the question mark of a request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from attrs import frozen

from kazoo_bridge.json_numbers import MAX_INTEGER, to_integer
from kazoo_bridge.rest.http.errors import parse_error, validation_error

#: More parameters than any client has reason to send.
MAX_PARAMETERS = 200

#: Whole numbers are read up to this one.
MAX_NUMBER = MAX_INTEGER

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@frozen
class Query:
    """The parameters in the order they were given. One that no handler asks for is ignored; of a repeated one `first` takes the first."""

    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, uri: bytes) -> Query:
        """The query of a request's URI; raises a parse error when it cannot be decoded."""
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
        """The parameter's first value; None when it is not there."""
        return next((value for given, value in self.parameters if given == name), None)


def refuse_broken_escapes(raw: bytes, what: str) -> None:
    """Raises a parse error when a percent sign is not followed by two hexadecimal digits."""
    if _BROKEN_ESCAPE.search(raw):
        raise parse_error(f"the {what} has a broken percent-encoding")


def whole_number(name: str, text: str, minimum: int | None = None) -> int:
    """The parameter's number; raises a validation error that names the parameter."""
    number = to_integer(text, accept_text=True)
    if number is None:
        raise validation_error(
            {name: {"type": {"message": "expected a whole number", "target": "integer", "cause": text[:100]}}}
        )
    if minimum is not None and number < minimum:
        raise validation_error(
            {
                name: {
                    "minimum": {"message": f"expected at least {minimum}", "target": minimum, "cause": number}
                }
            }
        )
    return number
