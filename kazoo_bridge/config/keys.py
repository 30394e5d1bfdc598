"""How the keys of the configuration are declared: attrs fields that say what their values must be."""

from __future__ import annotations

from typing import Any

from attrs import field
from attrs.validators import ge, in_, le, matches_re

from kazoo_bridge.config.validators import Check

#: Metadata of a key: what its value must be, for errors. Without it, the validator's own text is the error.
EXPECTED = "expected"

#: Metadata of a list that may also be a table: ``{"a": "b"}`` is ``["a=b"]``.
MAY_BE_TABLE = "may_be_table"


def integer(default: int, minimum: int, maximum: int | None = None) -> Any:
    """Make a key that is a whole number within bounds."""
    if maximum is None:
        return field(
            default=default,
            validator=ge(minimum),
            metadata={EXPECTED: f"a whole number of at least {minimum}"},
        )
    return field(
        default=default,
        validator=[ge(minimum), le(maximum)],
        metadata={EXPECTED: f"a whole number from {minimum} to {maximum}"},
    )


def ratio(default: float) -> Any:
    """Make a key that is a number from 0 to 1."""
    return field(default=default, validator=[ge(0), le(1)], metadata={EXPECTED: "a number from 0 to 1"})


def choice(default: str, *values: str) -> Any:
    """Make a key that is one of these values."""
    return field(default=default, validator=in_(values), metadata={EXPECTED: " or ".join(map(repr, values))})


def text(default: str, pattern: str, expected: str) -> Any:
    """Make a key that matches a regular expression; `expected` says in errors what that means."""
    return field(default=default, validator=matches_re(pattern), metadata={EXPECTED: expected})


def checked(default: Any, check: Check, *, secret: bool = False, may_be_table: bool = False) -> Any:
    """Make a key whose value `check` checks; a secret is left out of the repr and of errors."""

    def validator(_section: Any, _attribute: Any, value: Any) -> None:
        check(value)

    metadata = {MAY_BE_TABLE: may_be_table}
    return field(default=default, repr=not secret, validator=validator, metadata=metadata)
