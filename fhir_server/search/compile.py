"""SearchQuery -> SQL: one select for a page, one for a count, one for the probes that choose how to get there.

Every alias of the resource table comes from `visible`, so that no step of a chain sees more than the caller may.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    func,
    not_,
    or_,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.sql.selectable import CompoundSelect

from fhir_server.search.frame import (
    ONE,
    ZERO,
    Frame,
    InOrder,
    Names,
    any_posting,
    fenced,
    follow,
    groups,
    names_for,
    number,
    posting,
    same,
    some_posting,
    unveiled,
)
from fhir_server.search.model import OWN_KINDS, Chain, Criterion, Has, Match, SearchQuery
from fhir_server.search.modifiers import LOGICAL
from fhir_server.search.types import search_types
from fhir_server.search.types.date import compare_moment
from fhir_server.store.resources import TENANT
from fhir_server.store.tables import ref, tok

BOUND = 2000  # matches from which a list is walked instead of gathered

HIT = ("rid", "part", "type", "fid", "view", "rh", "ver", "ts", "owner", "patient", "labels", "body")
_BY_RID = (("rid", "rid"), ("part", "part"))
_BY_HASH = (("tgt", "rh"),)

Way = Literal["walk", "gather", "scan", "scan small"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the matches are reached: along one posting list, from a gathered set, or over the rows of the type."""

    way: Way
    driver: int = -1


# ---- criteria as conditions on a resource row


def holds(frame: Frame, criterion: Criterion, r: Subquery, names: Names) -> ColumnElement[bool]:
    """The condition that the resource row `r` meets a criterion."""
    if isinstance(criterion, Chain):
        return or_(*[_refers(frame, criterion, kind, inner, r, names) for kind, inner in criterion.branches])
    if isinstance(criterion, Has):
        return _referred(frame, criterion, r, names)
    if criterion.modifier == "missing":
        present = _present(frame, criterion, r)
        return present if criterion.terms[0].op == "false" else not_(present)
    if criterion.kind in OWN_KINDS:
        return _own(criterion, r, names)
    found = some_posting(frame, r, criterion, names)
    return not_(found) if criterion.modifier == "not" else found


def _own(match: Match, r: Subquery, names: Names) -> ColumnElement[bool]:
    if match.kind == "id":
        ids = [bound for term in match.terms for bound in names.take(term)]
        return and_(r.c.tenant == number(TENANT), r.c.fid.in_(ids))
    return or_(*[compare_moment(r.c.ts, term.op, names.take(term)) for term in match.terms])


def _present(frame: Frame, match: Match, r: Subquery) -> ColumnElement[bool]:
    if match.kind in OWN_KINDS:
        return true()
    found: ColumnElement[bool] = any_posting(frame, r, search_types()[match.kind].table, match.type, match.code)
    if match.kind != "reference":
        return found
    return or_(found, any_posting(frame, r, tok, match.type, match.code + LOGICAL))


def _refers(frame: Frame, chain: Chain, kind: str, inner: Criterion, r: Subquery, names: Names) -> ColumnElement[bool]:
    link = ref.alias()
    target, current = frame.resource(kind, by_hash=True)
    query = (
        select(ONE)
        .select_from(_joined(frame, link, target, target.c.rh == link.c.tgt))
        .where(*same(link, r), frame.param(link, chain.type, chain.code), *current)
        .where(holds(frame, inner, target, names))
    )
    return fenced(query, r)


def _referred(frame: Frame, has: Has, r: Subquery, names: Names) -> ColumnElement[bool]:
    link = ref.alias()
    source, current = frame.resource(has.source)
    query = (
        select(ONE)
        .select_from(_joined(frame, link, source, and_(*same(link, source))))
        .where(link.c.tgt == r.c.rh, frame.param(link, has.source, has.code), *current)
        .where(holds(frame, has.inner, source, names))
    )
    return fenced(query, r)


def _joined(frame: Frame, first: FromClause, then: FromClause, on: ColumnElement[bool]) -> FromClause:
    return InOrder(first, then, on) if frame.dialect == "sqlite" else first.join(then, on)


# ---- criteria as the place to start from


def can_drive(criterion: Criterion) -> bool:
    """Whether posting lists can list the resources that meet a criterion, without a look at all of them."""
    if isinstance(criterion, Match):
        return criterion.modifier == "" and criterion.kind not in OWN_KINDS
    return _can_start(criterion)


def _can_start(criterion: Criterion) -> bool:
    if isinstance(criterion, Chain):
        return all(_can_start(inner) for _, inner in criterion.branches)
    if isinstance(criterion, Has):
        return _can_start(criterion.inner)
    return criterion.modifier == ""


def can_walk(criterion: Criterion) -> bool:
    """Whether one posting list holds exactly the matches, newest last."""
    return (
        isinstance(criterion, Match)
        and criterion.kind not in OWN_KINDS
        and criterion.modifier == ""
        and len(criterion.terms) == 1
        and criterion.terms[0].op in search_types()[criterion.kind].ordered
    )


def _keys(frame: Frame, criterion: Criterion, names: Names) -> list[Select[Any]]:
    """Selects that together list the resources that meet a criterion: (rid, part), or (tgt) for _has."""
    if isinstance(criterion, Match):
        if criterion.kind in OWN_KINDS:
            return [_found(frame, criterion, criterion.type, names, ("rid", "part"))]
        return [posting(frame, criterion, terms, names) for terms in groups(criterion, apart=True)]
    link = ref.alias()
    if isinstance(criterion, Has):
        there = _found(frame, criterion.inner, criterion.source, names, ("rid", "part")).subquery()
        return [
            select(link.c.tgt)
            .select_from(_joined(frame, there, link, and_(*same(link, there))))
            .where(frame.param(link, criterion.source, criterion.code))
        ]
    return [_linked(frame, criterion, kind, inner, names) for kind, inner in criterion.branches]


def _linked(frame: Frame, chain: Chain, kind: str, inner: Criterion, names: Names) -> Select[Any]:
    link = ref.alias()
    there = _found(frame, inner, kind, names, ("rh",)).subquery()
    return (
        select(link.c.rid, link.c.part)
        .select_from(_joined(frame, there, link, link.c.tgt == there.c.rh))
        .where(frame.param(link, chain.type, chain.code))
    )


def _found(frame: Frame, criterion: Criterion, kind: str, names: Names, columns: Sequence[str]) -> Select[Any]:
    """Visible resources of a type that meet a criterion, starting from the criterion."""
    r, current = frame.resource(kind, by_hash=isinstance(criterion, Has))
    if isinstance(criterion, Match) and criterion.kind in OWN_KINDS:
        return select(*[r.c[name] for name in columns]).where(*current, _own(criterion, r, names))
    driver = _gathered(_keys(frame, criterion, names))
    return follow(frame, driver, _on(criterion), r, current, columns)[0]


def _on(criterion: Criterion) -> tuple[tuple[str, str], ...]:
    return _BY_HASH if isinstance(criterion, Has) else _BY_RID


def _gathered(keys: list[Select[Any]]) -> Subquery:
    """The listed resources, each once: a set that is computed before anything is joined to it."""
    return (union(*keys) if len(keys) > 1 else keys[0].distinct()).subquery()


# ---- statements


def prefix(position: int) -> str:
    """The beginning of the bind names of a query's criterion."""
    return f"c{position}_"


def probe(frame: Frame, query: SearchQuery, positions: Sequence[int]) -> Select[Any]:
    """One row: how many resources each of the criteria lists, counted up to BOUND.

    A chain is counted to its end only if its last step lists few; so the probe itself stays cheap.
    """
    counts: list[ColumnElement[int]] = []
    for position in positions:
        criterion = query.criteria[position]
        listed: ColumnElement[int] = _few(_keys(frame, criterion, names_for(prefix(position), criterion)))
        if not isinstance(criterion, Match):
            start = _few(_leaves(frame, criterion, names_for(prefix(position), criterion)))
            listed = case((start >= number(BOUND), number(BOUND)), else_=listed)
        counts.append(listed)
    columns: list[Any] = counts
    return select(*columns)


def _few(keys: list[Select[Any]]) -> ColumnElement[int]:
    listed: Select[Any] | CompoundSelect[Any] = union_all(*keys) if len(keys) > 1 else keys[0]
    return select(func.count()).select_from(listed.limit(number(BOUND)).subquery()).scalar_subquery()


def _leaves(frame: Frame, criterion: Criterion, names: Names) -> list[Select[Any]]:
    if isinstance(criterion, Match):
        return _keys(frame, criterion, names)
    if isinstance(criterion, Has):
        return _leaves(frame, criterion.inner, names)
    return [keys for _, inner in criterion.branches for keys in _leaves(frame, inner, names)]


def matches(
    frame: Frame, query: SearchQuery, plan: Plan, columns: Sequence[str], *, after: bool = False
) -> tuple[Select[Any], FromClause, ColumnElement[int]]:
    """The matching resources: a select of `columns`, what they belong to, and the row number in the driving list."""
    driving = query.criteria[plan.driver] if plan.driver >= 0 else None
    r, conditions = frame.resource(query.type, by_hash=isinstance(driving, Has))
    conditions += [
        holds(frame, criterion, r, names_for(prefix(position), criterion))
        for position, criterion in enumerate(query.criteria)
        if position != plan.driver
    ]
    last = bindparam("after", type_=BigInteger())
    if plan.driver < 0:
        conditions += [r.c.rid < last] if after else []
        return select(*[r.c[name] for name in columns]).where(*conditions), r, r.c.rid
    criterion = query.criteria[plan.driver]
    names = names_for(prefix(plan.driver), criterion)
    if plan.way == "walk" and isinstance(criterion, Match):
        driver, where = _list(frame, criterion, names)
    else:
        driver, where = _gathered(_keys(frame, criterion, names)), []
    place = driver.c.rid if "rid" in driver.c else r.c.rid
    if after:
        (where if "rid" in driver.c else conditions).append(place < last)
    found, at = follow(frame, driver, _on(criterion), r, conditions, columns)
    return found.where(*where), at, place if "rid" in driver.c else at.c.rid


def _list(frame: Frame, match: Match, names: Names) -> tuple[FromClause, list[ColumnElement[bool]]]:
    """The posting list of a single-valued criterion, each resource once."""
    kind, term = search_types()[match.kind], match.terms[0]
    row = kind.table.alias()
    where = [frame.param(row, match.type, match.code), kind.clause(row, term.op, [names.take(term)])]
    if term.op not in kind.single:  # a code found under several systems counts once
        twin = tok.alias()
        earlier = (twin.c.param == row.c.param, twin.c.val == row.c.val, *same(twin, row), twin.c.sys < row.c.sys)
        where.append(not_(fenced(select(ONE).where(*earlier), row)))
    return row, [*where, row.c.tenant == number(TENANT), *unveiled(frame, match, row)]


def page(frame: Frame, query: SearchQuery, plan: Plan, limit: int, *, after: bool) -> Select[Any]:
    """One page in the default order, newest first."""
    found, _, place = matches(frame, query, plan, HIT, after=after)
    if plan.way == "scan small":
        place = place + ZERO  # few rows: keep the planner from walking the whole type for the sake of order
    return found.order_by(place.desc()).limit(number(limit))


def total(frame: Frame, query: SearchQuery, plan: Plan, bound: int | None) -> Select[Any]:
    """One row: the number of matches, counted no further than `bound`."""
    found, _, _ = matches(frame, query, plan, ("rid",))
    if bound is not None:
        found = found.limit(number(bound))
    return select(func.count()).select_from(found.subquery())
