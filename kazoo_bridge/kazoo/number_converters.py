"""KAZOO's converters of dialled numbers to E.164: regular expressions with a prefix and a suffix.

See ``core/kazoo_numbers/src/converters/knm_converter_regex.erl`` in ``2600hz/kazoo``. The expressions come
from a database, and Python's `re` can need hours for some: only expressions whose effort is bounded are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

#: Converters of a configuration, and characters of an expression.
MAX_CONVERTERS, MAX_PATTERN = 50, 200

#: Ways of matching that `re` may have to try for one number.
MAX_EFFORT = 50_000

#: Characters of a dialled number: a repetition can end at each, or before the first.
_MAX_NUMBER = 33

_AFFIX = re.compile(r"[+0-9*#]{0,16}")
_QUANTIFIER = re.compile(r"(?:([*+?])|\{([0-9]{1,3})(?:(,)([0-9]{0,3}))?\})\??")
_SIMPLE_ATOM = re.compile(
    r"[0-9A-Za-z#:,^$. -]|\\[dDwWsS+*#.()\[\]?^$\\/-]|\[\^?(?:[^\]\[\\]|\\[dwsDWS+*#.-])+\]"
)
_E164 = re.compile(r"\+?[0-9]{5,48}")


class UnusablePattern(Exception):
    """The expression is not used; the text says why."""


@frozen
class _Converter:
    pattern: re.Pattern[str]
    prefix: str
    suffix: str


#: KAZOO's own converters, where the configuration has none: those of the United States.
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    r"^(\+?1)?([2-9][0-9]{2}[2-9][0-9]{6})$": {"prefix": "+1"},
    r"^011(\d{5,})$|^00(\d{5,})$": {"prefix": "+"},
    r"^[2-9]\d{7,}$": {"prefix": "+"},
}


@frozen
class NumberConverters:
    """Converts dialled numbers: the first expression that matches does.

    `assume_e164`: every number is in E.164 already, only its ``+`` may be missing (``assume_inbound_e164`` of
    KAZOO's category ``stepswitch``). `problems` says which converters are not used, and why.
    """

    _converters: Sequence[_Converter]
    assume_e164: bool = False
    problems: tuple[str, ...] = ()

    @classmethod
    def parse(cls, converters: object = None, *, assume_e164: bool = False) -> NumberConverters:
        """Read ``e164_converters`` of KAZOO's category ``number_manager``; None: KAZOO's own."""
        if converters is None:
            converters = _DEFAULTS
        if not isinstance(converters, Mapping):
            return cls((), assume_e164, ("e164_converters: expected an object of expressions",))
        parsed, problems = [], []
        for number, (text, affixes) in enumerate(converters.items(), 1):
            if number > MAX_CONVERTERS:
                problems.append(f"e164_converters: more than {MAX_CONVERTERS}, the others are not used")
                break
            try:
                parsed.append(_parse_converter(text, affixes))
            except UnusablePattern as error:
                problems.append(f"e164_converters: {text[:MAX_PATTERN]!r} is not used: {error}")
        return cls(tuple(parsed), assume_e164, tuple(problems))

    def to_e164(self, number: str) -> str | None:
        """Convert a number in the form of `dialled_number`; None if the result is none that KAZOO stores."""
        converted = number if number.startswith("+") else self._convert(number)
        return converted if _E164.fullmatch(converted) else None

    def _convert(self, number: str) -> str:
        if self.assume_e164:
            return f"+{number}"
        for converter in self._converters:
            match = converter.pattern.search(number)
            if match:
                return f"{converter.prefix}{_last_capture(match)}{converter.suffix}"
        return number


def _last_capture(match: re.Match[str]) -> str:
    """Return the last group that took part, or the whole match without groups, like Erlang's ``re``."""
    return next((group for group in reversed(match.groups()) if group is not None), match[0])


def _parse_converter(text: object, affixes: object) -> _Converter:
    if not isinstance(affixes, Mapping):
        raise UnusablePattern("expected an object with prefix and suffix")
    prefix, suffix = (_affix(affixes.get(name, "")) for name in ("prefix", "suffix"))
    return _Converter(compile_bounded(str(text)), prefix, suffix)


def _affix(value: Any) -> str:
    if not isinstance(value, str) or not _AFFIX.fullmatch(value):
        raise UnusablePattern("prefix and suffix: expected at most 16 characters of 0-9 + * #")
    return value


def compile_bounded(text: str) -> re.Pattern[str]:
    """Compile an expression whose effort for a dialled number is at most `MAX_EFFORT`.

    Raises `UnusablePattern` for any other.
    """
    if len(text) > MAX_PATTERN:
        raise UnusablePattern(f"more than {MAX_PATTERN} characters")
    if _Effort(text).total() > MAX_EFFORT:
        raise UnusablePattern("it has too many repetitions and alternatives")
    try:
        return re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise UnusablePattern(str(error)) from None


class _Effort:
    """Counts the ways in which an expression can match; knows the common part of KAZOO's and Python's syntax.

    A sequence has the product of the ways of its parts, alternatives the sum. A group may be optional but not
    repeated: that is where effort grows exponentially.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def total(self) -> int:
        """Return the number of ways. Raises `UnusablePattern` for a syntax that is not known."""
        ways = self._alternatives()
        if self._at < len(self._text):
            raise UnusablePattern(f"unexpected {self._text[self._at]!r} at {self._at}")
        # The search begins anew at each character of the number.
        anchored = all(branch.startswith("^") for branch in self._text.split("|"))
        return ways if anchored else ways * _MAX_NUMBER

    def _alternatives(self, depth: int = 0) -> int:
        if depth > 20:
            raise UnusablePattern("its groups are nested too deeply")
        ways = self._sequence(depth)
        while self._take("|"):
            ways += self._sequence(depth)
        return ways

    def _sequence(self, depth: int) -> int:
        ways = 1
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            ways *= self._part(depth)
        return ways

    def _part(self, depth: int) -> int:
        if self._take("("):
            if self._text.startswith("?", self._at) and not self._take("?:"):
                raise UnusablePattern("of groups with (? only (?: is understood")
            ways = self._alternatives(depth + 1)
            if not self._take(")"):
                raise UnusablePattern("a group has no end")
            return ways + self._optional()
        atom = _SIMPLE_ATOM.match(self._text, self._at)
        if atom is None:
            raise UnusablePattern(f"unexpected {self._text[self._at]!r} at {self._at}")
        self._at = atom.end()
        return self._choices()

    def _optional(self) -> int:
        """Return 1 if the group that ends here may be left out, else 0."""
        quantifier = _QUANTIFIER.match(self._text, self._at)
        if quantifier is None:
            return 0
        if quantifier[1] != "?":
            raise UnusablePattern("a group is repeated")
        self._at = quantifier.end()
        return 1

    def _choices(self) -> int:
        """Return how many lengths the quantifier at this place allows; 1 without one."""
        quantifier = _QUANTIFIER.match(self._text, self._at)
        if quantifier is None:
            return 1
        self._at = quantifier.end()
        sign, least, comma, most = quantifier.groups()
        if sign is not None:
            return 2 if sign == "?" else _MAX_NUMBER + 1
        if int(least) > _MAX_NUMBER:
            raise UnusablePattern(f"no number has more than {_MAX_NUMBER} characters")
        if comma is None:
            return 1
        highest = min(int(most), _MAX_NUMBER) if most else _MAX_NUMBER
        return max(highest - int(least), 0) + 1

    def _take(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True
