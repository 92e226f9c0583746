"""Versions in the order of their storing, newest first, of one resource, one type or everything a caller may see.

A version's place (time, row, number) never changes, so that a walk from place to place meets no version twice and
passes none over that was there when it began, whatever is written meanwhile.  https://hl7.org/fhir/R4/http.html#history
"""

from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, bindparam, literal_column, select, tuple_
from sqlalchemy import union_all as union_of

from fhir_server.store.resources import TENANT, Row, Visible, from_columns
from fhir_server.store.statements import Statements

LARGEST = 200
_SIZES = (2, 11, 51, LARGEST + 1)  # written into the SQL: a planner must know how little is wanted
_FOREVER = 2**62
_PLACE = ("place_ts", "place_rid", "place_ver")


class Place(NamedTuple):
    """Where a version stands in every history."""

    ts: int = _FOREVER
    rid: int = 0
    ver: int = 0


class Span(NamedTuple):
    """since: stored at this instant or later. at: current at some instant of this half-open interval."""

    since: int = 0
    at: tuple[int, int] | None = None


_statements = Statements()


def versions(
    connection: Connection, visible: Visible, type_: str, rid: int | None, span: Span, after: Place, limit: int
) -> list[Row]:
    """Up to `limit` visible versions behind `after`, deletions too; of one row if `rid`, of all types for ""."""
    size = next(size for size in _SIZES if size >= limit)
    key = (visible.shape, type_, rid is None, span.at is None, size)
    statement = _statements.of(key, partial(_select, visible, type_, rid, span, size))
    began, ended = span.at or (0, _FOREVER)
    values = {"row": rid, "since": span.since, "began": began, "ended": ended}
    values |= dict(zip(_PLACE, after, strict=True))
    return [from_columns(row) for row in statement.rows(connection, {**visible.binds, **values})[:limit]]


def _select(visible: Visible, type_: str, rid: int | None, span: Span, size: int) -> Select[Any]:
    of = type_ or None
    parts = []
    for view in (visible("r", of=of), visible.history("h", of)):
        conditions = [*_within(view), *([view.c.rid == bindparam("row")] if rid is not None else [])]
        if span.at:
            conditions += [view.c.ts < bindparam("ended"), *_not_followed(visible, view, of)]
        newest = _newest_first(select(*_columns(view)).where(*conditions), view).limit(_number(size))
        parts.append(select(newest.subquery()))
    both = union_of(*parts).subquery("v")
    return _newest_first(select(*_columns(both)), both).limit(_number(size))


def _within(view: Subquery) -> list[ColumnElement[bool]]:
    """The bound on the time says what the comparison of places says as well, but an index knows only that.

    The tenant must not tempt a planner: an index that begins with it leads to everything.
    """
    since: ColumnElement[int] = bindparam("since")
    place: list[ColumnElement[int]] = [bindparam(name) for name in _PLACE]
    behind = tuple_(view.c.ts, view.c.rid, view.c.ver) < tuple_(*place)
    return [view.c.tenant + _number(0) == TENANT, view.c.ts >= since, view.c.ts <= place[0], behind]


def _not_followed(visible: Visible, view: Subquery, of: str | None) -> list[ColumnElement[bool]]:
    """That no later version, of those the caller may see, stood there when the interval began."""
    found = []
    for later in (visible("r_later", of=of), visible.history("h_later", of)):
        same = and_(later.c.rid == view.c.rid, later.c.part == view.c.part, later.c.ver > view.c.ver)
        found.append(~select(literal_column("1")).where(same, later.c.ts <= bindparam("began")).exists())
    return found


def _newest_first(query: Select[Any], view: Subquery) -> Select[Any]:
    return query.order_by(view.c.ts.desc(), view.c.rid.desc(), view.c.ver.desc())


def _columns(source: Subquery) -> list[ColumnElement[Any]]:
    return [source.c[name] for name in Row._fields]


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value))
