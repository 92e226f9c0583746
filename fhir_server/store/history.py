"""Versions in the order of their storing, newest first, of one resource, one type or everything a caller may see.

A version's place (time, row, number) never changes, so that a walk from place to place meets no version twice and
passes none over that was there when it began, whatever is written meanwhile.  https://hl7.org/fhir/R4/http.html#history
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    any_,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy import union_all as union_of

from fhir_server.fhir.definitions import type_number
from fhir_server.store.reach import Reach, listed, reached
from fhir_server.store.resources import TENANT, Row, Visible, from_columns
from fhir_server.store.statements import Statements

LARGEST = 200
FEW = 2000  # rows of one caller from which a walk along everybody's meets its own often enough
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
    connection: Connection,
    visible: Visible,
    type_: str,
    rid: int | None,
    span: Span,
    after: Place,
    limit: int,
    public: Sequence[str] = (),
) -> list[Row]:
    """Up to `limit` visible versions behind `after`, deletions too; of one row if `rid`, of all types for "".

    `public`: the types of which everybody sees all.
    """
    size = next(size for size in _SIZES if size >= limit)
    found = _reach(connection, visible, type_, public) if rid is None else None
    dialect = connection.dialect.name
    key = (visible.shape, type_, rid is None, span.at is None, size, found and (found.public, dialect))
    parts = partial(_all, visible, type_, rid, span)
    if found:
        parts = partial(_few, dialect, visible, type_, span, found.public)
    statement = _statements.of(key, lambda: _joined(parts(), size))
    began, ended = span.at or (0, _FOREVER)
    values = {"row": rid, "since": span.since, "began": began, "ended": ended}
    values |= dict(zip(_PLACE, after, strict=True))
    return [from_columns(row) for row in statement.rows(connection, {**visible.binds, **values})[:limit]]


def _reach(connection: Connection, visible: Visible, type_: str, public: Sequence[str]) -> Reach | None:
    """What may be shown to a caller, if that is little: then nobody waits for what others have stored."""
    if type_ in public or "v_ended" in visible.binds:  # everybody sees all; or the run-out shows what no list has
        return None
    found = reached(connection, visible, type_, FEW, public)
    return found if found.most < FEW else None


def _joined(parts: list[Select[Any]], size: int) -> Select[Any]:
    newest = [one.limit(_number(size)).subquery() for one in parts]
    both = union_of(*[select(*one.c) for one in newest]).subquery("v")
    return _newest_first(select(*_columns(both)), both, both.c.ts).limit(_number(size))


def _all(visible: Visible, type_: str, rid: int | None, span: Span) -> list[Select[Any]]:
    """Along the time of storing, or what there is of one row."""
    which: list[ColumnElement[int]] = [bindparam("row")] if rid is not None else []
    return [
        _asked(visible, view, type_, span).where(*[view.c.rid == row for row in which])
        for view in _views(visible, type_)
    ]


def _few(dialect: str, visible: Visible, type_: str, span: Span, public: Sequence[str]) -> list[Select[Any]]:
    """What can be shown to this caller, row by row, and along the time of storing what is shown to everybody.

    No index but that on rows must tempt a planner, so the type is asked of what they lead to.
    """
    candidates = select(listed(visible, type_, 4 * FEW).cte("reach").c.rid)  # the bound is for the planner
    found = []
    for view in _views(visible, ""):
        of = view.c.type + _number(0)
        rows: ColumnElement[bool] = view.c.rid.in_(candidates)
        if dialect != "sqlite":
            rows = view.c.rid == any_(func.array(candidates.scalar_subquery(), type_=ARRAY(BigInteger)))
        query = _asked(visible, view, "", span, by_time=False).where(rows)
        query = query.where(of == _number(type_number(type_))) if type_ else query
        found.append(query.where(of.not_in([_number(type_number(kind)) for kind in public])) if public else query)
    for kind in public:
        found += [_asked(visible, view, kind, span) for view in _views(visible, kind)]
    return found


def _views(visible: Visible, type_: str) -> tuple[Subquery, Subquery]:
    of = type_ or None
    return visible(f"r{type_}", of=of), visible.history(f"h{type_}", of)


def _asked(visible: Visible, view: Subquery, type_: str, span: Span, *, by_time: bool = True) -> Select[Any]:
    """The versions of a view that a question is about, newest first; `by_time` says that an index on it may serve."""
    ts = view.c.ts if by_time else view.c.ts + _number(0)
    conditions = _within(view, ts)
    if span.at:
        conditions += [ts < bindparam("ended"), *_not_followed(visible, view, type_ or None)]
    return _newest_first(select(*_columns(view)).where(*conditions), view, ts)


def _within(view: Subquery, ts: ColumnElement[int]) -> list[ColumnElement[bool]]:
    """The bound on the time says what the comparison of places says as well, but an index knows only that.

    The tenant must not tempt a planner: an index that begins with it leads to everything.
    """
    since: ColumnElement[int] = bindparam("since")
    place: list[ColumnElement[int]] = [bindparam(name) for name in _PLACE]
    behind = tuple_(ts, view.c.rid, view.c.ver) < tuple_(*place)
    return [view.c.tenant + _number(0) == TENANT, ts >= since, ts <= place[0], behind]


def _not_followed(visible: Visible, view: Subquery, of: str | None) -> list[ColumnElement[bool]]:
    """That no later version, of those the caller may see, stood there when the interval began."""
    found = []
    for later in (visible("r_later", of=of), visible.history("h_later", of)):
        same = and_(later.c.rid == view.c.rid, later.c.part == view.c.part, later.c.ver > view.c.ver)
        found.append(~select(literal_column("1")).where(same, later.c.ts <= bindparam("began")).exists())
    return found


def _newest_first(query: Select[Any], view: Subquery, ts: ColumnElement[int]) -> Select[Any]:
    return query.order_by(ts.desc(), view.c.rid.desc(), view.c.ver.desc())


def _columns(source: Subquery) -> list[ColumnElement[Any]]:
    return [source.c[name] for name in Row._fields]


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value))
