"""Quantities: a number with a unit, which is a code of a system or a word.

Units are compared as they are written; those of UCUM also have rows in their canonical unit (see search.units), so that
1 g is found by 1000 mg. A comparator makes a range of a value (<5 lies
wholly below 5), a Range is one, and sampled data count from their least to their greatest value.
https://hl7.org/fhir/R4/search.html#quantity
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.fhir.errors import BadValue
from fhir_server.search import decimals
from fhir_server.search.decimals import ABOVE, BELOW, EXACT, OPEN_END, OPEN_START
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import clip, shown, split, unescape
from fhir_server.search.types.number import compare, range_keys
from fhir_server.search.units import UCUM, Unit, unit
from fhir_server.store.hashing import system_hash
from fhir_server.store.tables import qty

CURRENCIES = "urn:iso:std:iso:4217"

_KINDS = ("Quantity", "SimpleQuantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity")
_WITH_UNIT = 3
_SAMPLE = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """`number`, `number|system|code`, `number||code` or `number|system|`, perhaps with a prefix; else BadValue."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) not in (1, _WITH_UNIT) or (len(parts) == _WITH_UNIT and not any(parts[1:])):
        raise BadValue(
            f"{asked.name}: {shown(text)} is no quantity; write number, number|system|code, number||code "
            "or number|system|, and put a backslash before a | that belongs to the unit"
        )
    number = decimals.asked(parts[0], asked.name)
    keys = decimals.bounds(number)
    if len(parts) == 1:
        return (Term(number.op, keys),)
    if not parts[2]:
        return (Term(f"{number.op} of any", (*keys, system_hash(parts[1]))),)
    if parts[1]:
        return (Term(f"{number.op} of system", (*keys, system_hash(parts[1]), clip(parts[2]))),)
    return (Term(f"{number.op} of unit", (*keys, clip(parts[2]))),)


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row fits one of the terms."""
    return or_(*[_fits(row, op, binds) for binds in terms])


def _fits(row: FromClause, op: str, binds: Binds) -> ColumnElement[bool]:
    comparison, _, where = op.partition(" ")
    if not where:
        return compare(row.c.lo, row.c.hi, comparison, binds)
    if where == "of unit":
        same = or_(row.c.code == binds[-1], row.c.unit == binds[-1])
        return and_(compare(row.c.lo, row.c.hi, comparison, binds[:-1]), same)
    if where == "of any":
        return and_(compare(row.c.lo, row.c.hi, comparison, binds[:-1]), row.c.sys == binds[-1])
    if where == "of canonical":
        return and_(compare(row.c.lo, row.c.hi, comparison, binds[:-1]), row.c.code == binds[-1])
    same = and_(row.c.sys == binds[-2], row.c.code == binds[-1])
    return and_(compare(row.c.lo, row.c.hi, comparison, binds[:-2]), same)


def _quantity(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    number = value.get("value")
    if number is not None:
        rows.qty((param, *_ends(decimals.stored(number), value.get("comparator", "")), *_unit(value)))


def _ends(number: Decimal, sign: str) -> tuple[str, str]:
    low = OPEN_START if sign.startswith("<") else decimals.key(number, ABOVE if sign == ">" else EXACT)
    high = OPEN_END if sign.startswith(">") else decimals.key(number, BELOW if sign == "<" else EXACT)
    return low, high


def _in_canonical(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    number, measure = value.get("value"), _measure(value)
    if number is not None and measure:
        ends = _ends(measure.canonical(decimals.stored(number)), value.get("comparator", ""))
        rows.qty((param, *ends, 0, clip(measure.code), ""))


def _range_in_canonical(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    low, high = value.get("low"), value.get("high")
    measure = _measure(low or high or {})
    if measure is None or (low and high and _unit(low) != _unit(high)):
        return
    ends = [decimals.key(measure.canonical(decimals.stored(end["value"]))) if end and "value" in end else None
            for end in (low, high)]  # fmt: skip
    if ends != [None, None]:
        rows.qty((param, ends[0] or OPEN_START, ends[1] or OPEN_END, 0, clip(measure.code), ""))


def _measure(value: Mapping[str, Any]) -> Unit | None:
    return unit(value["code"]) if value.get("system") == UCUM and "code" in value else None


def canonical_converters() -> Mapping[str, Converter]:
    """Converters to the rows in canonical units."""
    others = {"Range": _range_in_canonical, "SampledData": _sampled_in_canonical}
    return {**dict.fromkeys(_KINDS, _in_canonical), **others}


def _unit(value: Mapping[str, Any]) -> tuple[int, str, str]:
    return system_hash(value.get("system", "")), clip(value.get("code", "")), clip(value.get("unit", ""))


def _money(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    number, currency = value.get("value"), value.get("currency", "")
    if number is not None:
        key = decimals.stored_key(number)
        rows.qty((param, key, key, system_hash(CURRENCIES) if currency else 0, clip(currency), ""))


def _range(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    ends = range_keys(value)
    if ends:
        rows.qty((param, *ends, *_unit(value.get("low") or value["high"])))


def _sampled(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    ends = _extremes(value)
    if ends:
        rows.qty((param, decimals.key(ends[0]), decimals.key(ends[1]), *_unit(value.get("origin", {}))))


def _sampled_in_canonical(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    ends, measure = _extremes(value), _measure(value.get("origin", {}))
    if ends and measure:
        low, high = (decimals.key(measure.canonical(end)) for end in ends)
        rows.qty((param, low, high, 0, clip(measure.code), ""))


def _extremes(value: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    origin = decimals.stored(value.get("origin", {}).get("value", 0))
    factor = decimals.stored(value.get("factor", 1))
    samples = [origin + factor * decimals.asked(word, "").value for word in _samples(value.get("data", ""))]
    return (min(samples), max(samples)) if samples else None


def _samples(data: str) -> list[str]:
    """The numbers among samples; the letters for errors and for values beyond the limits are none."""
    return [word for word in data.split() if _SAMPLE.fullmatch(word)]


def _converters(_site: Site) -> Mapping[str, Converter]:
    return {**dict.fromkeys(_KINDS, _quantity), "Money": _money, "Range": _range, "SampledData": _sampled}


TYPE = SearchType(
    name="quantity",
    table=qty,
    modifiers=frozenset(),
    parse=parse,
    clause=clause,
    converters=_converters,
    sort="lo",
)
