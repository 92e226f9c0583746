"""Dates: intervals compared with intervals, each half open and in UTC milliseconds.

Lists are kept by where intervals begin. Where a parameter has points in time only, none of which is wider than a year,
every comparison is also told from where on they may begin (op "ge~"); two bounds of one value are one op ("ge~&lt").

The margin of `ap` is the width of the value itself (ap2026-03 reaches from February to April), so that a page that is
continued tomorrow still means the same.  https://hl7.org/fhir/R4/search.html#date
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, FromClause, and_, not_, or_

from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.values import parse_date
from fhir_server.search.expression import data_types
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import shown, unescape
from fhir_server.store.tables import dat

OPEN_START, OPEN_END = -(2**63), 2**63 - 1
DAY = 25 * 3_600_000  # the longest, when the clock is set back
WIDEST = 366 * 86_400_000 + DAY  # of a point in time that is given as a year

_WHOLE_DATE = len("2026-03-01")
_POINTS = frozenset({"date", "dateTime", "instant"})
_FROM = {"gt": 1, "ge": 0, "ap": 0}  # which end of the asked interval says from where on matches may begin

_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=\d)")
_LOST_PLUS = re.compile(r" (?=\d\d:\d\d$)")
_Bound = BindParameter[Any]


def with_plus(text: str) -> str:
    """A date whose zone's + has arrived as a space, as it does where it was not encoded (B-38)."""
    return _LOST_PLUS.sub("+", text)


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """A date with an optional prefix; BadValue if it is none."""
    value = with_plus(unescape(text))
    prefix = _PREFIX.match(value)
    op = prefix[1] if prefix else "eq"
    try:
        lo, hi = parse_date(value[2:] if prefix else value, asked.site.zone)
    except BadValue:
        raise BadValue(
            f"{asked.name}: {shown(text)} is no date; write e.g. 2026-03-01 or ge2026-03-01T10:00:00-08:00, "
            "with one of the prefixes eq ne gt lt ge le sa eb ap"
        ) from None
    if op == "ap":
        lo, hi = max(lo - (hi - lo), OPEN_START), min(hi + (hi - lo), OPEN_END)
    if op in _FROM and _are_points(asked):
        return (Term(f"{op}~", (lo, hi, max((lo, hi)[_FROM[op]] - WIDEST, OPEN_START))),)
    return (Term(op, (lo, hi)),)


def _are_points(asked: Asked) -> bool:
    found = data_types(asked.site.definitions, asked.type, asked.param.expression)
    return are_points(found) and asked.param.code != "_lastUpdated"


def are_points(data_types_: Collection[str]) -> bool:
    """Whether values of these data types are never wider than a year."""
    return bool(data_types_) and _POINTS.issuperset(data_types_)


def wide_converters(zone: tzinfo) -> Mapping[str, Converter]:
    """Converters to the rows of points in time that are wider than a day: a month, a year."""

    def wide(rows: Adders, param: int, value: str) -> None:
        if len(value) < _WHOLE_DATE:
            rows.dat((param, *parse_date(value, zone)))

    return dict.fromkeys(_POINTS, wide)


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row, whose interval is [lo, hi), fits one of the terms."""
    return or_(*[and_(*_bounds(row.c.lo, row.c.hi, op, binds)) for binds in terms])


def _bounds(lo: ColumnElement[int], hi: ColumnElement[int], op: str, binds: Binds) -> Iterator[ColumnElement[bool]]:
    for one in op.split("&"):
        yield compare(lo, hi, one.rstrip("~"), binds[:2])
        binds = binds[2:]
        if one.endswith("~"):
            yield lo >= binds[0]
            binds = binds[1:]


def compare(lo: ColumnElement[int], hi: ColumnElement[int], op: str, binds: Binds) -> ColumnElement[bool]:
    """How the interval [lo, hi) stands to the one asked for."""
    start, end = binds
    inside = and_(lo >= start, lo < end, hi <= end)
    if op == "eq":
        return inside
    if op == "ne":
        return not_(inside)
    if op == "ap":
        return and_(lo < end, hi > start)
    return _ordered(lo, hi, op, start, end, inside)


def _ordered(
    lo: ColumnElement[int], hi: ColumnElement[int], op: str, start: _Bound, end: _Bound, inside: ColumnElement[bool]
) -> ColumnElement[bool]:
    past, before = hi > end, lo < start
    wanted = {
        "gt": past,
        "lt": before,
        "ge": past | inside,
        "le": (before | inside) & (lo < end),
        "sa": lo >= end,
        "eb": (hi <= start) & (lo < start),
    }
    return wanted[op]


def compare_moment(at: ColumnElement[int], op: str, binds: Binds) -> ColumnElement[bool]:
    """The same for a single millisecond, written so that an index on it serves."""
    start, end = binds
    if op == "ne":
        return not_(and_(at >= start, at < end))
    wanted = {
        "gt": at >= end,
        "lt": at < start,
        "ge": at >= start,
        "le": at < end,
        "sa": at >= end,
        "eb": at < start,
    }
    return wanted.get(op, and_(at >= start, at < end))


def _timing_bounds(value: Mapping[str, Any]) -> Mapping[str, Any]:
    bounds: Mapping[str, Any] = value.get("repeat", {}).get("boundsPeriod", {})
    return bounds


def _converters(site: Site) -> Mapping[str, Converter]:
    zone = site.zone

    def interval(value: Mapping[str, Any]) -> tuple[int, int]:
        start, end = value.get("start"), value.get("end")
        return (
            parse_date(start, zone)[0] if start else OPEN_START,
            parse_date(end, zone)[1] if end else OPEN_END,
        )

    def date(rows: Adders, param: int, value: str) -> None:
        rows.dat((param, *parse_date(value, zone)))

    def period(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
        if "start" in value or "end" in value:
            rows.dat((param, *interval(value)))

    def timing(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
        spans = [parse_date(event, zone) for event in value.get("event", ()) if event]
        bounds = _timing_bounds(value)
        if "start" in bounds or "end" in bounds:
            spans.append(interval(bounds))
        if spans:
            rows.dat((param, min(lo for lo, _ in spans), max(hi for _, hi in spans)))

    return {"date": date, "dateTime": date, "instant": date, "Period": period, "Timing": timing}


TYPE = SearchType(
    name="date",
    table=dat,
    modifiers=frozenset(),
    parse=parse,
    clause=clause,
    converters=_converters,
    sort="lo",
)
