"""Numbers: a value or a range against what was asked, the precision of the question included.

Without prefix the last digit counts: 100 is [99.5, 100.5), 100.0 is [99.95, 100.05); gt, lt, ge, le, sa and eb compare
with the exact number; ap allows for a tenth.  https://hl7.org/fhir/R4/search.html#number
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, not_, or_

from fhir_server.search import decimals
from fhir_server.search.decimals import OPEN_END, OPEN_START
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import unescape
from fhir_server.store.tables import num


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """A number with an optional prefix; BadValue if it is none."""
    number = decimals.asked(unescape(text), asked.name)
    return (Term(number.op, decimals.bounds(number)),)


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row, whose values are [lo, hi], fits one of the terms."""
    return or_(*[compare(row.c.lo, row.c.hi, op, binds) for binds in terms])


def compare(lo: ColumnElement[str], hi: ColumnElement[str], op: str, binds: Binds) -> ColumnElement[bool]:
    """How the closed interval [lo, hi] stands to the number or range asked for."""
    start, end = binds[0], binds[-1]
    if op in ("eq", "ne"):
        inside = and_(lo >= start, lo < end, hi < end)
        return inside if op == "eq" else not_(inside)
    if op == "ap":
        return and_(lo <= end, hi >= start)
    wanted = {"gt": hi > start, "lt": lo < start, "ge": hi >= start, "le": lo <= start, "sa": lo > start}
    return wanted.get(op, hi < start)


def _number(rows: Adders, param: int, value: object) -> None:
    key = decimals.stored_key(value)
    rows.num((param, key, key))


def _range(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    ends = range_keys(value)
    if ends:
        rows.num((param, *ends))


def range_keys(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """The keys of a Range's ends, open where one is missing; None if both are."""
    low, high = value.get("low", {}).get("value"), value.get("high", {}).get("value")
    if low is None and high is None:
        return None
    return (
        OPEN_START if low is None else decimals.stored_key(low),
        OPEN_END if high is None else decimals.stored_key(high),
    )


def _converters(_site: Site) -> Mapping[str, Converter]:
    return {**dict.fromkeys(("decimal", "integer", "positiveInt", "unsignedInt"), _number), "Range": _range}


TYPE = SearchType(
    name="number",
    table=num,
    modifiers=frozenset(),
    parse=parse,
    clause=clause,
    converters=_converters,
    sort="lo",
)
