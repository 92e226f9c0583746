"""Decimals as text that sorts as the numbers do: both databases then compare them exactly, to the last digit.

A key is a sign (n, o, p for below, at and above zero), the place of the first digit, the digits, and an edge, which
tells a number from what lies just below or above it. Negative numbers have their digits complemented.
https://hl7.org/fhir/R4/search.html#number
"""

import re
from decimal import Context, Decimal
from functools import lru_cache
from typing import NamedTuple

from fhir_server.fhir.errors import BadValue
from fhir_server.search.text import shown

OPEN_START, OPEN_END = "-", "~"
BELOW, EXACT, ABOVE = " ", "!", '"'

_BIAS, _PLACES, _DIGITS = 5000, 9999, 80
_COMPLEMENT = str.maketrans("0123456789", "9876543210")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=[-0-9])")
_EXACTLY = Context(prec=200)


class Asked(NamedTuple):
    """A number as it was asked for: the comparison, the value, and half a unit of its last digit."""

    op: str
    value: Decimal
    half: Decimal


def key(value: Decimal, edge: str = EXACT) -> str:
    """The text of a number; `edge` BELOW or ABOVE stands for all that is less or more, yet as near as can be."""
    digits = "".join(map(str, value.as_tuple().digits)).rstrip("0")[:_DIGITS]
    if not digits:
        return f"o{edge}"
    text = f"{min(max(value.adjusted() + _BIAS, 0), _PLACES):04d}{digits}"
    return f"n{text.translate(_COMPLEMENT)}~{edge}" if value.is_signed() else f"p{text}{edge}"


def stored(value: object) -> Decimal:
    """The decimal behind a parsed JSON number."""
    return Decimal(repr(value))


@lru_cache(maxsize=4096)
def stored_key(value: object, edge: str = EXACT) -> str:
    """The key of a parsed JSON number."""
    return key(stored(value), edge)


def asked(text: str, name: str) -> Asked:
    """A number with an optional prefix; BadValue if it is none."""
    prefix = _PREFIX.match(text)
    written = text[2:] if prefix else text
    if not _NUMBER.fullmatch(written):
        raise BadValue(
            f"{name}: {shown(text)} is no number; write e.g. 5.4, ge5 or 1e-3, with one of the prefixes "
            "eq ne gt lt ge le sa eb ap"
        )
    value = Decimal(written)
    return Asked(prefix[1] if prefix else "eq", value, Decimal(5).scaleb(_last_place(written, value) - 1))


def _last_place(written: str, value: Decimal) -> int:
    """The power of ten of the last digit that was given; 1e2 means 1.0e2, as the specification has it."""
    place = int(value.as_tuple().exponent)
    return place - 1 if "e" in written.lower() and "." not in written else place


def bounds(number: Asked) -> tuple[str, ...]:
    """The keys a comparison binds."""
    return tuple(key(edge) for edge in edges(number))


def edges(number: Asked) -> tuple[Decimal, ...]:
    """What a comparison looks at: a range for eq, ne (half open) and ap (closed), the number itself for the rest."""
    if number.op in ("eq", "ne"):
        return _around(number.value, number.half)
    if number.op == "ap":
        return _around(number.value, max(_EXACTLY.divide(abs(number.value), Decimal(10)), number.half))
    return (number.value,)


def _around(value: Decimal, margin: Decimal) -> tuple[Decimal, Decimal]:
    return _EXACTLY.subtract(value, margin), _EXACTLY.add(value, margin)
