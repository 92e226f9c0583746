"""Searches among contained resources: `_contained` and `_containedType`.

A contained resource is met in the view of its container; a container is an answer once, however much of it matches.
https://hl7.org/fhir/R4/search.html#contained
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Subquery, func, not_, select, union

from fhir_server.fhir.definitions import type_number
from fhir_server.search.compile import HIT, Plan, beyond, direction, few, matches, page, prefix, probe
from fhir_server.search.conditions import holds
from fhir_server.search.drivers import can_drive
from fhir_server.search.frame import ONE, ZERO, Frame, fenced, follow, names_for, number
from fhir_server.search.local import inside
from fhir_server.search.model import INSIDE, OWN_KINDS, AnyOf, Chain, Criterion, Match, SearchQuery, SortKey
from fhir_server.search.order import ordered, sorted_page
from fhir_server.store.tables import contained

Arm = tuple[SearchQuery, Plan]  # one kind of match, and how it is reached

_HELD_BY = (("holder", "rid"), ("part", "part"))


def arms(query: SearchQuery) -> tuple[SearchQuery, ...]:
    """The searches that one is made of: two, where contained resources and others are asked for at once."""
    if query.contained == "false":
        return (query,)
    criteria, sort = tuple(map(inside, query.criteria)), tuple(map(_inside_key, query.sort))
    among = replace(query, contained="true", criteria=criteria, sort=sort)
    return (among,) if query.contained == "true" else (replace(query, contained="false"), among)


def _inside_key(key: SortKey) -> SortKey:
    """The same key for contained resources."""
    first, *rest = [*key.via, (key.params, "")]
    marked = tuple((INSIDE + kind, code) for kind, code in first[0])
    if not rest:
        return replace(key, params=marked)
    return replace(key, via=((marked, first[1]), *rest[:-1]))


def can_list(criterion: Criterion) -> bool:
    """Whether posting lists can list the contained resources that meet a criterion."""
    return can_drive(criterion) and _is_listed(criterion)


def _is_listed(criterion: Criterion) -> bool:
    if isinstance(criterion, AnyOf):
        return all(map(_is_listed, criterion.parts))
    return isinstance(criterion, Chain) or (isinstance(criterion, Match) and criterion.kind not in OWN_KINDS)


def probed(frame: Frame, query: SearchQuery, positions: Sequence[int], bound: int) -> Select[Any]:
    """One row: how much each of the criteria lists, and how many contained resources of the type there are, counted up
    to `bound`.
    """
    there = select(contained.c.rid).where(contained.c.type == number(type_number(query.type)))
    return probe(frame, query, positions, bound).add_columns(few([there], bound))


def pages(frame: Frame, found: Sequence[Arm], limit: int, *, after: bool) -> Select[Any]:
    """One page of all arms in one order; the columns of a hit, then the value of each sort key."""
    parts = [_page(frame, query, plan, limit, after=after) for query, plan in found]
    if len(parts) == 1:
        return parts[0]
    rows = union(*[select(*part.c) for part in (one.subquery() for one in parts)]).subquery()
    query = found[0][0]
    keys = [rows.c[f"k{place}"] for place in range(len(query.sort))]
    if keys:
        return ordered(select(*rows.c), query, [*keys, rows.c.rid], after=False).limit(number(limit))
    return select(*rows.c).order_by(direction(query, rows.c.rid)).limit(number(limit))


def _page(frame: Frame, query: SearchQuery, plan: Plan, limit: int, *, after: bool) -> Select[Any]:
    if query.finds_containers:
        return _containers(frame, query, plan, limit, after=after)
    build = sorted_page if query.sort else page
    return build(frame, query, plan, limit, after=after)


def total(frame: Frame, found: Sequence[Arm], bound: int | None) -> Select[Any]:
    """One row: the number of matches of all arms, counted no further than `bound`."""
    lists = [_numbers(frame, query, plan) for query, plan in found]
    rows = union(*lists) if len(lists) > 1 else lists[0]
    if bound is not None:
        rows = rows.limit(number(bound))
    return select(func.count()).select_from(rows.subquery())


def _numbers(frame: Frame, query: SearchQuery, plan: Plan) -> Select[Any]:
    if not query.finds_containers:
        return matches(frame, query, plan, ("rid",))[0]
    rows = matches(frame, query, plan, ("holder", "part"))[0].subquery()
    return select(rows.c.holder.label("rid")).distinct()


def _containers(frame: Frame, query: SearchQuery, plan: Plan, limit: int, *, after: bool) -> Select[Any]:
    """One page of containers, newest first, or in the order of their last update."""
    r, conditions = frame.resource()
    if plan.way == "scan":
        driver, where, held = _every(frame, query, r)
        conditions = [*conditions, *held]
    else:
        driver, where = matches(frame, query, plan, ("holder", "part"))[0].distinct().subquery(), []
    if after and not query.sort:
        where.append(beyond(query, driver.c.holder))
    found, at = follow(frame, driver, _HELD_BY, r, conditions, HIT)
    found = found.where(*where)
    if query.sort:
        found = ordered(found.add_columns(at.c.ts.label("k0")), query, [at.c.ts, at.c.rid], after=after)
    else:
        found = found.order_by(direction(query, driver.c.holder))
    return found.limit(number(limit))


def _every(
    frame: Frame, query: SearchQuery, r: Subquery
) -> tuple[FromClause, list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """The containers of a type one after another along an index, for where many match: what lists them, each by the
    last resource it holds, and what must hold of them.
    """
    inner, twin = contained.alias(), contained.alias()
    later = twin.c.type == inner.c.type, twin.c.holder == inner.c.holder, twin.c.rid > inner.c.rid
    last = not_(fenced(select(ONE).where(*later), inner))
    n, current = frame.contained(query.type)
    meets = [holds(frame, one, n, names_for(prefix(place), one)) for place, one in enumerate(query.criteria)]
    held = select(ONE).where(n.c.holder == r.c.rid, n.c.part == r.c.part, *current, *meets)
    return inner, [inner.c.type == number(type_number(query.type)), last], [r.c.view == ZERO, fenced(held, r)]
