"""Dialled numbers as E.164: by KAZOO's converters if the node can read them, else by a default region."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers

from kazoo_bridge.kazoo.number_converters import NumberConverters

#: Dialled numbers whose E.164 form is kept.
MAX_KEPT = 20_000


class Dialling:
    """Converts numbers for all directories of a node. `converters` replace the region when they are known."""

    def __init__(self, region: str = "") -> None:
        """`region`: ISO 3166 code of the country whose national numbers are dialled; empty: none is."""
        self._region = region
        self._converters: NumberConverters | None = None
        self._converted = lru_cache(MAX_KEPT)(self._convert)

    @property
    def converters(self) -> NumberConverters | None:
        """KAZOO's converters; None: they are not known."""
        return self._converters

    @converters.setter
    def converters(self, converters: NumberConverters | None) -> None:
        self._converters = converters
        self._converted.cache_clear()

    def to_e164(self, number: str) -> str | None:
        """Return a number in the form of `dialled_number` with ``+``; None if it is not one of E.164."""
        return self._converted(number)

    def _convert(self, number: str) -> str | None:
        if self._converters is not None:
            return self._converters.to_e164(number)
        return region_to_e164(number, self._region)


def region_to_e164(number: str, region: str) -> str | None:
    """Return `number`, as it is dialled in the region, with ``+`` and country code; None if that fails."""
    if number.startswith("+"):
        return number
    if not region:
        return None
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
