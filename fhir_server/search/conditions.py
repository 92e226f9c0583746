"""Criteria as conditions on a resource row.

Every alias of the resource table comes from `frame.resource`, so that no step of a chain sees more than the caller may.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, FromClause, Subquery, and_, literal, not_, or_, select, true

from fhir_server.search import words
from fhir_server.search.frame import (
    ONE,
    Frame,
    Names,
    any_posting,
    fenced,
    joined,
    number,
    same,
    some_posting,
)
from fhir_server.search.local import MARK, inside, leads_inside
from fhir_server.search.model import OWN_KINDS, AllOf, AnyOf, Chain, Criterion, Has, Match, Not
from fhir_server.search.modifiers import LOGICAL
from fhir_server.search.types import search_types
from fhir_server.search.types.date import compare_moment
from fhir_server.store.resources import TENANT
from fhir_server.store.tables import ref, tok


def holds(frame: Frame, criterion: Criterion, r: Subquery, names: Names) -> ColumnElement[bool]:
    """The condition that the resource row `r` meets a criterion."""
    if isinstance(criterion, Match):
        return _matches(frame, criterion, r, names)
    if isinstance(criterion, Chain):
        return or_(*[_refers(frame, criterion, kind, inner, r, names) for kind, inner in criterion.branches])
    if isinstance(criterion, Has):
        return _referred(frame, criterion, r, names)
    if isinstance(criterion, Not):
        return not_(holds(frame, criterion.part, r, names))
    return _combined(frame, criterion, r, names)


def _combined(frame: Frame, criterion: AllOf | AnyOf, r: Subquery, names: Names) -> ColumnElement[bool]:
    found: Sequence[ColumnElement[bool]] = [holds(frame, part, r, names) for part in criterion.parts]
    return and_(*found) if isinstance(criterion, AllOf) else or_(*found)


def _matches(frame: Frame, match: Match, r: Subquery, names: Names) -> ColumnElement[bool]:
    if match.modifier == "missing":
        present = _present(frame, match, r)
        return present if match.terms[0].op == "false" else not_(present)
    if match.kind in OWN_KINDS:
        return own(match, r, names)
    if match.kind == "words":
        return words.said(frame, match, r, names)
    found = some_posting(frame, r, match, names)
    return not_(found) if match.modifier == "not" else found


def own(match: Match, r: Subquery, names: Names) -> ColumnElement[bool]:
    """The condition that columns of the resource row itself meet a criterion: _id, _lastUpdated."""
    if match.kind == "id":
        ids = [bound for term in match.terms for bound in names.take(term)]
        return and_(r.c.tenant == number(TENANT), r.c.fid.in_(ids))
    return or_(*[compare_moment(r.c.ts, term.op, names.take(term)) for term in match.terms])


def _present(frame: Frame, match: Match, r: Subquery) -> ColumnElement[bool]:
    if match.kind in OWN_KINDS:
        return true()
    found: ColumnElement[bool] = any_posting(frame, r, search_types()[match.kind].table, match.params)
    if match.kind != "reference":
        return found
    return or_(found, any_posting(frame, r, tok, [(kind, code + LOGICAL) for kind, code in match.params]))


def _refers(frame: Frame, chain: Chain, kind: str, inner: Criterion, r: Subquery, names: Names) -> ColumnElement[bool]:
    if not leads_inside(chain, inner):
        return _points(frame, chain, kind, inner, r, names)
    own, again = names.twice(inner)
    return or_(_points(frame, chain, kind, inner, r, own), _keeps(frame, chain, kind, inner, r, again))


def _keeps(frame: Frame, chain: Chain, kind: str, inner: Criterion, r: Subquery, names: Names) -> ColumnElement[bool]:
    """That the reference is to something contained, which meets the criterion."""
    link = tok.alias()
    held, current = frame.contained(kind)
    query = (
        select(ONE)
        .select_from(joined(frame, link, held, refers_inside(link, held)))
        .where(*same(link, r), frame.param(link, (chain.type, chain.code + LOGICAL)), *current)
        .where(holds(frame, inside(inner), held, names))
    )
    return fenced(query, r)


def refers_inside(link: FromClause, held: FromClause) -> ColumnElement[bool]:
    """That a token is the reference of a container to a contained resource."""
    return and_(held.c.holder == link.c.rid, held.c.part == link.c.part, link.c.val == literal(MARK) + held.c.fid)


def _points(frame: Frame, chain: Chain, kind: str, inner: Criterion, r: Subquery, names: Names) -> ColumnElement[bool]:
    link = ref.alias()
    target, current = frame.resource(kind, by_hash=True)
    query = (
        select(ONE)
        .select_from(joined(frame, link, target, target.c.rh == link.c.tgt))
        .where(*same(link, r), frame.param(link, (chain.type, chain.code)), *current)
        .where(holds(frame, inner, target, names))
    )
    return fenced(query, r)


def _referred(frame: Frame, has: Has, r: Subquery, names: Names) -> ColumnElement[bool]:
    link = ref.alias()
    source, current = frame.resource(has.source)
    query = (
        select(ONE)
        .select_from(joined(frame, link, source, and_(*same(link, source))))
        .where(link.c.tgt == r.c.rh, frame.param(link, (has.source, has.code)), *current)
        .where(holds(frame, has.inner, source, names))
    )
    return fenced(query, r)
