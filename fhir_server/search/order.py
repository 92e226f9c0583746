"""Pages in an order that was asked for.

Missing values come last in both directions; the row number decides between equals. Of several values the smallest
counts in ascending order, the largest in descending.  https://hl7.org/fhir/R4/search.html#sort
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)

from fhir_server.search.compile import HIT, Plan, also, by_type, matches, prefix, type_by_type
from fhir_server.search.drivers import BY_RID
from fhir_server.search.frame import Frame, follow, joined, names_for, number, same
from fhir_server.search.model import OWN_KINDS, Match, SearchQuery, SortKey
from fhir_server.search.types import search_types
from fhir_server.search.types.date import OPEN_END, OPEN_START
from fhir_server.search.worklists import Stretch, stretches
from fhir_server.store.tables import ref

_LAST_NUMBER = (OPEN_END, OPEN_START)
_LAST_TEXT = ("\U0010ffff", "")


def sorted_page(frame: Frame, query: SearchQuery, plan: Plan, limit: int, *, after: bool) -> Select[Any]:
    """One page: the columns of a hit, then the value of each sort key; before `after`, the other way round."""
    if by_type(query, plan):
        rows = type_by_type(query, lambda one: sorted_page(frame, one, plan, limit, after=after))
        return _whole(query, rows, after=after).limit(number(limit))
    if plan.way == "queue":
        return _along(frame, query, plan, limit, after=after)
    found, at, _ = matches(frame, query, plan, HIT)
    keys = [_value(frame, key, at).label(f"k{place}") for place, key in enumerate(query.sort)]
    if _is_own(query):
        return ordered(found.add_columns(*keys), query, [*keys, at.c.rid], after=after).limit(number(limit))
    return _whole(query, found.add_columns(*keys).subquery("s"), after=after).limit(number(limit))


def _along(frame: Frame, query: SearchQuery, plan: Plan, limit: int, *, after: bool) -> Select[Any]:
    """The same along a worklist, which is in that order: no more of it is looked at than the page needs."""
    match = query.criteria[plan.driver]
    assert isinstance(match, Match)  # noqa: S101 - nothing else is a worklist
    names, descending = names_for(prefix(plan.driver), match), query.sort[0].descending
    pages = [
        _stretch(frame, query, plan, one, limit, after=after)
        for one in stretches(frame, match, names, descending=descending)
    ]
    if len(pages) == 1:
        return pages[0]
    rows = union_all(*[select(*part.c) for part in (one.subquery() for one in pages)]).subquery()
    return ordered(select(*rows.c), query, [rows.c.k0, rows.c.rid], after=False).limit(number(limit))


def _stretch(frame: Frame, query: SearchQuery, plan: Plan, one: Stretch, limit: int, *, after: bool) -> Select[Any]:
    r, conditions = also(frame, query, plan)
    found, _ = follow(frame, one.row, BY_RID, r, conditions, HIT)
    value, down = one.value, query.sort[0].descending is not query.backward
    place = tuple_(value, one.row.c.rid)
    last = tuple_(*[bindparam(f"l{at}", type_=BigInteger()) for at in range(2)])
    beyond = [place < last if down else place > last] if after else []
    order = [column.desc() if down else column.asc() for column in (one.row.c.number1, one.row.c.rid)]
    return found.add_columns(value.label("k0")).where(*one.where, *beyond).order_by(*order).limit(number(limit))


def _whole(query: SearchQuery, rows: FromClause, *, after: bool) -> Select[Any]:
    columns = [rows.c[f"k{place}"] for place in range(len(query.sort))]
    return ordered(select(*rows.c), query, [*columns, rows.c.rid], after=after)


def _is_own(query: SearchQuery) -> bool:
    """Whether columns of the resource row alone decide, so that an index can."""
    return all(key.kind in OWN_KINDS and not key.via for key in query.sort)


def _value(frame: Frame, key: SortKey, at: Any) -> ColumnElement[Any]:
    source, row, where = _steps(frame, key, at)
    best = func.max if key.descending else func.min
    if key.kind in OWN_KINDS:
        column: ColumnElement[Any] = row.c.fid if key.kind == "id" else row.c.ts
        if not key.via:
            return column
        query = select(best(column))
    else:
        value = row.c[search_types()[key.kind].sort]
        query = select(best(value)).where(frame.param(row, *key.params))
        if key.kind in ("token", "string"):  # of a text, that it begins so too says nothing of its place
            query = query.where((row.c.raw if key.kind == "string" else value) != "")
        column = value
    whole = isinstance(column.type, BigInteger)
    last = literal((_LAST_NUMBER if whole else _LAST_TEXT)[key.descending], BigInteger() if whole else None)
    found = query.select_from(source).where(*where).correlate(at).scalar_subquery()
    return func.coalesce(found, last)


def _steps(frame: Frame, key: SortKey, at: Any) -> tuple[Any, Any, list[ColumnElement[bool]]]:
    """What a key's values are selected from, the row that holds them, and how it hangs on the resource.

    References are followed to what the caller may see, as in a chain.
    """
    source: Any = None
    where: list[ColumnElement[bool]] = []
    for params, kind in key.via:
        link = ref.alias()
        target, current = frame.resource(kind, by_hash=True)
        where += [frame.param(link, *params), *current]
        if source is None:
            where += same(link, at)
            source = link
        else:
            source = joined(frame, source, link, and_(*same(link, at)))
        source = joined(frame, source, target, target.c.rh == link.c.tgt)
        at = target
    if key.kind in OWN_KINDS:
        return source, at, where
    row = search_types()[key.kind].table.alias()
    if source is None:
        return row, row, [*same(row, at)]
    return joined(frame, source, row, and_(*same(row, at))), row, where


def ordered(
    found: Select[Any], query: SearchQuery, columns: Sequence[ColumnElement[Any]], *, after: bool
) -> Select[Any]:
    """A select in the order of these columns, which hold the values of the sort keys and the row number."""
    directions = [key.descending is not query.backward for key in query.sort]
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
