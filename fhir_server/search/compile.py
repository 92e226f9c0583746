"""SearchQuery -> SQL: one select for a page, one for the probes that choose how to get there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    bindparam,
    case,
    func,
    not_,
    select,
    union_all,
)
from sqlalchemy.sql.selectable import CompoundSelect

from fhir_server.fhir.definitions import type_names, type_number
from fhir_server.search.conditions import holds
from fhir_server.search.drivers import gathered, keys, leaves, on
from fhir_server.search.frame import ONE, ZERO, Frame, Names, fenced, follow, names_for, number, same, unveiled
from fhir_server.search.model import Has, Match, SearchQuery
from fhir_server.search.types import search_types
from fhir_server.store.resources import TENANT
from fhir_server.store.tables import tok

BOUND = 2000  # matches from which a list is walked instead of gathered
FAR = 4 * BOUND  # matches up to which the newest of a list that cannot be walked are looked for in it

HIT = ("rid", "part", "type", "fid", "view", "rh", "ver", "ts", "owner", "patient", "labels", "body")

Way = Literal["walk", "gather", "queue", "scan", "scan small"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the matches are reached: along one posting list or worklist, from a gathered set, or over the type's rows.

    newest: of a gathered set only what is no older than the row number `edge`.
    """

    way: Way
    driver: int = -1
    newest: bool = False


def prefix(position: int) -> str:
    """The beginning of the bind names of a query's criterion."""
    return f"c{position}_"


def probe(frame: Frame, query: SearchQuery, positions: Sequence[int], bound: int) -> Select[Any]:
    """One row: how many resources each of the criteria lists, counted up to `bound`.

    A chain is counted to its end only if its last step lists few; so the probe itself stays cheap.
    """
    counts: list[ColumnElement[int]] = []
    for position in positions:
        criterion = query.criteria[position]
        listed: ColumnElement[int] = few(
            keys(frame, criterion, query.type, names_for(prefix(position), criterion)), bound
        )
        if not isinstance(criterion, Match):
            start = few(leaves(frame, criterion, query.type, names_for(prefix(position), criterion)), bound)
            listed = case((start >= number(bound), number(bound)), else_=listed)
        counts.append(listed)
    columns: list[Any] = counts
    return select(*columns)


def few(lists: Sequence[Select[Any]], bound: int) -> ColumnElement[int]:
    """How many rows these selects have together, counted up to `bound`."""
    listed: Select[Any] | CompoundSelect[Any] = union_all(*lists) if len(lists) > 1 else lists[0]
    return select(func.count()).select_from(listed.limit(number(bound)).subquery()).scalar_subquery()


def matches(
    frame: Frame, query: SearchQuery, plan: Plan, columns: Sequence[str], *, after: bool = False
) -> tuple[Select[Any], FromClause, ColumnElement[int]]:
    """The matching resources: a select of `columns`, what they belong to, and the row number in the driving list."""
    r, conditions = also(frame, query, plan)
    if plan.driver < 0:
        conditions += [beyond(query, r.c.rid)] if after else []
        return select(*[r.c[name] for name in columns]).where(*conditions), r, r.c.rid
    criterion = query.criteria[plan.driver]
    names = names_for(prefix(plan.driver), criterion)
    if plan.way == "walk" and isinstance(criterion, Match):
        driver, where = _list(frame, criterion, names)
    else:
        driver, where = gathered(keys(frame, criterion, query.type, names)), []
    place = driver.c.rid if "rid" in driver.c else r.c.rid
    if after:
        (where if "rid" in driver.c else conditions).append(beyond(query, place))
    if plan.newest:
        where.append(_within(query, place))
    found, at = follow(frame, driver, on(criterion), r, conditions, columns)
    return found.where(*where), at, place if "rid" in driver.c else at.c.rid


def also(frame: Frame, query: SearchQuery, plan: Plan) -> tuple[Subquery, list[ColumnElement[bool]]]:
    """A resource row, and what must hold of it besides what the plan starts from."""
    driving = query.criteria[plan.driver] if plan.driver >= 0 else None
    if query.contained == "true":
        r, conditions = frame.contained(query.type)
    else:
        r, conditions = frame.resource(query.type, by_hash=isinstance(driving, Has))
    conditions += _of_types(query, r, plan)
    conditions += [
        holds(frame, criterion, r, names_for(prefix(position), criterion))
        for position, criterion in enumerate(query.criteria)
        if position != plan.driver
    ]
    return r, conditions


def _of_types(query: SearchQuery, r: FromClause, plan: Plan) -> list[ColumnElement[bool]]:
    """That a row has one of the types of a search over several; an id is looked up type by type."""
    if query.type or not (query.types or plan.way == "scan small"):
        return []
    numbers = [number(type_number(kind)) for kind in query.types or type_names().values()]
    return [(r.c.type + ZERO if plan.driver >= 0 else r.c.type).in_(numbers)]


def beyond(query: SearchQuery, place: ColumnElement[int]) -> ColumnElement[bool]:
    """That a row number lies beyond the page before."""
    last = bindparam("after", type_=BigInteger())
    return place > last if query.backward else place < last


def _within(query: SearchQuery, place: ColumnElement[int]) -> ColumnElement[bool]:
    """That a row number does not lie beyond the edge of what is looked at first; no index is asked for it."""
    edge, place = bindparam("edge", type_=BigInteger()), place + ZERO
    return place <= edge if query.backward else place >= edge


def edge(frame: Frame, query: SearchQuery, plan: Plan, ahead: int, *, after: bool) -> Select[Any]:
    """The row number that stands so many postings ahead, in the default order; no row if the lists end before."""
    criterion = query.criteria[plan.driver]
    lists = keys(frame, criterion, query.type, names_for(prefix(plan.driver), criterion))
    listed = (union_all(*lists) if len(lists) > 1 else lists[0]).subquery()
    found = select(listed.c.rid).where(*[beyond(query, listed.c.rid)] if after else ())
    place = listed.c.rid + ZERO  # the value's range leads, not an index that has the wanted order
    return found.order_by(direction(query, place)).limit(ONE).offset(number(ahead))


def _list(frame: Frame, match: Match, names: Names) -> tuple[FromClause, list[ColumnElement[bool]]]:
    """The posting list of a single-valued criterion, each resource once."""
    kind, term = search_types()[match.kind], match.terms[0]
    row = kind.table.alias()
    where = [frame.param(row, *match.params), kind.clause(row, term.op, [names.take(term)])]
    if term.op not in kind.single:  # a code found under several systems counts once
        twin = tok.alias()
        earlier = (twin.c.param == row.c.param, twin.c.val == row.c.val, *same(twin, row), twin.c.sys < row.c.sys)
        where.append(not_(fenced(select(ONE).where(*earlier), row)))
    return row, [*where, row.c.tenant == number(TENANT), *unveiled(frame, match, row)]


def page(frame: Frame, query: SearchQuery, plan: Plan, limit: int, *, after: bool) -> Select[Any]:
    """One page in the default order, newest first; a page before `after` comes the other way round."""
    if by_type(query, plan):
        rows = type_by_type(query, lambda one: page(frame, one, plan, limit, after=after))
        return select(*rows.c).order_by(direction(query, rows.c.rid)).limit(number(limit))
    found, _, place = matches(frame, query, plan, HIT, after=after)
    if plan.way == "scan small":
        place = place + ZERO  # few rows: keep the planner from walking the whole type for the sake of order
    return found.order_by(direction(query, place)).limit(number(limit))


def direction(query: SearchQuery, place: ColumnElement[int]) -> ColumnElement[int]:
    """The default order of row numbers: newest first, the other way round before a page."""
    return place.asc() if query.backward else place.desc()


def by_type(query: SearchQuery, plan: Plan) -> bool:
    """Whether each type is walked for itself, along an index of its own."""
    return plan.way == "scan" and not query.type and bool(query.types)


def type_by_type(query: SearchQuery, build: Callable[[SearchQuery], Select[Any]]) -> Subquery:
    """The pages of each type of a search over several, joined."""
    parts = [build(replace(query, type=kind)).subquery() for kind in query.types]
    return union_all(*[select(*part.c) for part in parts]).subquery()
