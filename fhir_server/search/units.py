"""Units of UCUM and what they are made of, so that 1 g is found by 1000 mg and 98.6 [degF] by 37 Cel.

The grammar is UCUM's: factors joined by . and /, each a prefix and a unit with an exponent; words in braces say
nothing. The units are data (terminology/ucum); one that is not among them is compared as it is written.
https://ucum.org/ucum
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import orjson

from fhir_server.fhir.folders import data_folder
from fhir_server.fhir.memory import remembered

UCUM = "http://unitsofmeasure.org"

_NAME = r"(?:[^\d./(){}\[\]+-]|\[[^\]]*\])+"
_FACTOR = re.compile(rf"10[*^]([+-]?\d{{1,3}})|(\d{{1,9}})|({_NAME})([+-]?\d{{1,2}})?")
_ALONE = re.compile(r"(^|[./])\{[^{}]*\}")
_WORDS = re.compile(r"\{[^{}]*\}")
_LONGEST, _DEEPEST, _STEEPEST = 60, 8, 9
_ROUNDED = Context(prec=30)

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """value of this unit = (value + offset) * factor of `code`, a product of units that stand for themselves."""

    factor: Fraction
    dimensions: Dimensions = ()
    offset: Fraction = Fraction()

    @property
    def code(self) -> str:
        """The canonical unit, as text."""
        return ".".join(f"{name}{power}" for name, power in self.dimensions) or "1"

    def canonical(self, value: Decimal) -> Decimal:
        """A value of this unit in the canonical one, to 30 digits."""
        exact = (Fraction(value) + self.offset) * self.factor
        return _ROUNDED.divide(Decimal(exact.numerator), Decimal(exact.denominator))


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Any] = orjson.loads((data_folder("terminology") / "ucum" / "units.json").read_bytes())
    return found


@remembered(4096)
def unit(code: str) -> Unit | None:
    """What a code of UCUM means; None if its units are not known here."""
    scale = _table()["scales"].get(code)
    if scale:
        base = _product(scale["unit"], 0)
        factor, offset = Fraction(scale["factor"]), Fraction(scale["offset"])
        return Unit(factor * base.factor, base.dimensions, offset) if base else None
    return _product(code, 0) if 0 < len(code) <= _LONGEST else None


def _product(code: str, depth: int) -> Unit | None:
    """Factors joined by . and /, from left to right; brackets are not taken apart."""
    if depth > _DEEPEST:
        return None
    text = _WORDS.sub("", _ALONE.sub(r"\g<1>1", code))
    if not text:
        return Unit(Fraction(1))
    factor, powers = Fraction(1), dict[str, int]()
    for sign, piece in re.findall(r"(^/?|[./])([^./]*)", text):
        one = _power(piece, depth)
        if one is None:
            return None
        up = -1 if sign == "/" else 1
        factor *= one.factor**up
        for name, power in one.dimensions:
            powers[name] = powers.get(name, 0) + up * power
    return Unit(factor, tuple(sorted((name, power) for name, power in powers.items() if power)))


def _power(piece: str, depth: int) -> Unit | None:
    match = _FACTOR.fullmatch(piece)
    if match is None:
        return None
    ten, number, name, exponent = match.groups()
    if ten is not None:
        return Unit(Fraction(10) ** int(ten))
    if number is not None:
        return Unit(Fraction(int(number))) if int(number) else None
    base, power = _named(name, depth), int(exponent or 1)
    if base is None or abs(power) > _STEEPEST:
        return None
    return Unit(base.factor**power, tuple((one, up * power) for one, up in base.dimensions))


def _named(name: str, depth: int) -> Unit | None:
    """A unit, or a metric one with a prefix; the longest name counts."""
    for kind in ("units", "metric"):
        if name in _table()[kind]:
            return _defined(name, _table()[kind][name], depth)
    for prefix, factor in _table()["prefixes"].items():
        rest = name.removeprefix(prefix)
        if rest != name and rest in _table()["metric"]:
            base = _defined(rest, _table()["metric"][rest], depth)
            return base and Unit(Fraction(factor) * base.factor, base.dimensions)
    return None


def _defined(name: str, definition: str, depth: int) -> Unit | None:
    if not definition:
        return Unit(Fraction(1), ((name, 1),))
    number, _, code = definition.partition(" ")
    base = _product("" if code == "1" else code, depth + 1)
    return base and Unit(Fraction(number) * base.factor, base.dimensions)
