"""Pages in an order that was asked for.

Missing values come last in both directions; the row number decides between equals. Of several values the smallest
counts in ascending order, the largest in descending.  https://hl7.org/fhir/R4/search.html#sort
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, bindparam, func, literal, or_, select

from fhir_server.search.compile import HIT, Plan, matches
from fhir_server.search.frame import Frame, number, same
from fhir_server.search.model import OWN_KINDS, SearchQuery, SortKey
from fhir_server.search.types import search_types
from fhir_server.search.types.date import OPEN_END, OPEN_START

_LAST: dict[str, tuple[Any, Any]] = {"date": (OPEN_END, OPEN_START)}
_LAST_TEXT = ("\U0010ffff", "")


def sorted_page(frame: Frame, query: SearchQuery, plan: Plan, limit: int, *, after: bool) -> Select[Any]:
    """One page: the columns of a hit, then the value of each sort key."""
    found, at, _ = matches(frame, query, plan, HIT)
    keys = [_value(frame, query, key, at).label(f"k{place}") for place, key in enumerate(query.sort)]
    if _is_own(query):
        return _ordered(found.add_columns(*keys), query.sort, [*keys, at.c.rid], after=after).limit(number(limit))
    rows = found.add_columns(*keys).subquery("s")
    columns = [rows.c[f"k{place}"] for place in range(len(keys))]
    return _ordered(select(*rows.c), query.sort, [*columns, rows.c.rid], after=after).limit(number(limit))


def _is_own(query: SearchQuery) -> bool:
    """Whether columns of the resource row alone decide, so that an index can."""
    return all(key.kind in OWN_KINDS for key in query.sort)


def _value(frame: Frame, query: SearchQuery, key: SortKey, at: Any) -> ColumnElement[Any]:
    if key.kind in OWN_KINDS:
        column: ColumnElement[Any] = at.c.fid if key.kind == "id" else at.c.ts
        return column
    kind = search_types()[key.kind]
    row = kind.table.alias()
    value = row.c[kind.sort]
    best = func.max(value) if key.descending else func.min(value)
    query_ = select(best).where(*same(row, at), frame.param(row, query.type, key.code))
    if key.kind == "token":
        query_ = query_.where(value != "")
    last = literal(_LAST.get(key.kind, _LAST_TEXT)[key.descending], BigInteger() if key.kind == "date" else None)
    return func.coalesce(query_.correlate(at).scalar_subquery(), last)


def _ordered(
    found: Select[Any], sort: Sequence[SortKey], columns: Sequence[ColumnElement[Any]], *, after: bool
) -> Select[Any]:
    directions = [key.descending for key in sort]
    directions.append(directions[-1])
    order = [column.desc() if down else column.asc() for column, down in zip(columns, directions, strict=True)]
    if after:
        found = found.where(_beyond(columns, directions))
    return found.order_by(*order)


def _beyond(columns: Sequence[ColumnElement[Any]], directions: Sequence[bool]) -> ColumnElement[bool]:
    """That a row comes after the last one of the page before, whose values are bound as l0, l1, ..."""
    lasts = [bindparam(f"l{place}", type_=column.type) for place, column in enumerate(columns)]
    cases = []
    for place, (column, down) in enumerate(zip(columns, directions, strict=True)):
        equal = [columns[before] == lasts[before] for before in range(place)]
        cases.append(and_(*equal, column < lasts[place] if down else column > lasts[place]))
    first = columns[0] <= lasts[0] if directions[0] else columns[0] >= lasts[0]
    return and_(first, or_(*cases))
