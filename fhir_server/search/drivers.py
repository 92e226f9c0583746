"""Criteria as the place to start from: which posting lists hold the resources that meet them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Subquery, and_, select, union

from fhir_server.search import words
from fhir_server.search.conditions import holds, own, refers_inside
from fhir_server.search.frame import Columns, Frame, Names, follow, groups, joined, posting, same
from fhir_server.search.local import inside, leads_inside
from fhir_server.search.model import OWN_KINDS, AllOf, AnyOf, Chain, Criterion, Has, Match, Not
from fhir_server.search.modifiers import LOGICAL
from fhir_server.search.types import search_types
from fhir_server.store.tables import ref, tok

BY_RID = (("rid", "rid"), ("part", "part"))
_BY_HASH = (("tgt", "rh"),)


def can_drive(criterion: Criterion) -> bool:
    """Whether posting lists can list the resources that meet a criterion, without a look at all of them."""
    if isinstance(criterion, Match) and criterion.kind in OWN_KINDS:
        return False
    return _can_start(criterion)


def _can_start(criterion: Criterion) -> bool:
    if isinstance(criterion, Match):
        return criterion.modifier == ""
    if isinstance(criterion, Chain):
        return all(_can_start(inner) for _, inner in criterion.branches)
    if isinstance(criterion, Has):
        return _can_start(criterion.inner)
    if isinstance(criterion, Not):
        return False
    return (any if isinstance(criterion, AllOf) else all)(map(_can_start, criterion.parts))


def can_walk(criterion: Criterion) -> bool:
    """Whether one posting list holds exactly the matches, newest last."""
    return (
        isinstance(criterion, Match)
        and criterion.kind in search_types()
        and criterion.modifier == ""
        and not criterion.others
        and len(criterion.terms) == 1
        and criterion.terms[0].op in search_types()[criterion.kind].ordered
    )


def keys(frame: Frame, criterion: Criterion, kind: str, names: Names) -> list[Select[Any]]:
    """Selects that together list the resources of a type that meet a criterion: (rid, part), or (tgt) for _has."""
    if isinstance(criterion, Match):
        return _lists(frame, criterion, kind, names)
    if isinstance(criterion, Chain):
        return [one for target, inner in criterion.branches for one in _chained(frame, criterion, target, inner, names)]
    if isinstance(criterion, Has):
        return [_named(frame, criterion, names)]
    if isinstance(criterion, AnyOf):
        return [one for part in criterion.parts for one in _placed(frame, part, kind, names)]
    return [_found(frame, criterion, kind, names, ("rid", "part"))]


def _lists(frame: Frame, match: Match, kind: str, names: Names) -> list[Select[Any]]:
    if match.kind in OWN_KINDS:
        return [_found(frame, match, kind, names, ("rid", "part"))]
    if match.kind == "words":
        return [words.listed(frame, match, names)]
    return [posting(frame, match, terms, names) for terms in groups(match, apart=True)]


def _placed(frame: Frame, criterion: Criterion, kind: str, names: Names) -> list[Select[Any]]:
    if isinstance(criterion, Has):
        return [_found(frame, criterion, kind, names, ("rid", "part"))]
    return keys(frame, criterion, kind, names)


def _named(frame: Frame, has: Has, names: Names) -> Select[Any]:
    link = ref.alias()
    there = _found(frame, has.inner, has.source, names, ("rid", "part")).subquery()
    return (
        select(link.c.tgt)
        .select_from(joined(frame, there, link, and_(*same(link, there))))
        .where(frame.param(link, (has.source, has.code)))
    )


def _chained(frame: Frame, chain: Chain, kind: str, inner: Criterion, names: Names) -> list[Select[Any]]:
    if not leads_inside(chain, inner):
        return [_linked(frame, chain, kind, inner, names)]
    own, again = names.twice(inner)
    return [_linked(frame, chain, kind, inner, own), _holding(frame, chain, kind, inner, again)]


def _holding(frame: Frame, chain: Chain, kind: str, inner: Criterion, names: Names) -> Select[Any]:
    """What refers to a contained resource that meets the criterion."""
    link = tok.alias()
    held, current = frame.contained(kind)
    driver = gathered(keys(frame, inside(inner), kind, names))
    there = follow(frame, driver, BY_RID, held, current, ("holder", "part", "fid"))[0].subquery()
    return (
        select(there.c.holder.label("rid"), there.c.part)
        .select_from(joined(frame, there, link, refers_inside(link, there)))
        .where(frame.param(link, (chain.type, chain.code + LOGICAL)))
    )


def _linked(frame: Frame, chain: Chain, kind: str, inner: Criterion, names: Names) -> Select[Any]:
    link = ref.alias()
    there = _found(frame, inner, kind, names, ("rh",)).subquery()
    return (
        select(link.c.rid, link.c.part)
        .select_from(joined(frame, there, link, link.c.tgt == there.c.rh))
        .where(frame.param(link, (chain.type, chain.code)))
    )


def _found(frame: Frame, criterion: Criterion, kind: str, names: Names, columns: Columns) -> Select[Any]:
    """Visible resources of a type that meet a criterion, starting from the criterion."""
    if isinstance(criterion, AllOf):
        return _found_together(frame, criterion, kind, names, columns)
    r, current = frame.resource(kind, by_hash=isinstance(criterion, Has))
    if isinstance(criterion, Match) and criterion.kind in OWN_KINDS:
        return select(*[r.c[name] for name in columns]).where(*current, own(criterion, r, names))
    driver = gathered(keys(frame, criterion, kind, names))
    return follow(frame, driver, on(criterion), r, current, columns)[0]


def _found_together(frame: Frame, whole: AllOf, kind: str, names: Names, columns: Columns) -> Select[Any]:
    """Starting from one part; the others are asked of what it lists."""
    first = _start(whole)
    r, conditions = frame.resource(kind, by_hash=isinstance(whole.parts[first], Has))
    each = names.split(whole.parts)
    driver = gathered(_placed(frame, whole.parts[first], kind, each[first]))
    conditions += [holds(frame, part, r, each[at]) for at, part in enumerate(whole.parts) if at != first]
    return follow(frame, driver, BY_RID, r, conditions, columns)[0]


def _start(whole: AllOf) -> int:
    rather = [at for at, part in enumerate(whole.parts) if can_drive(part)]
    return (rather or [at for at, part in enumerate(whole.parts) if _can_start(part)])[0]


def on(criterion: Criterion) -> tuple[tuple[str, str], ...]:
    """The columns by which what `keys` lists belongs to resource rows."""
    return _BY_HASH if isinstance(criterion, Has) else BY_RID


def gathered(listed: Sequence[Select[Any]]) -> Subquery:
    """The listed resources, each once: a set that is computed before anything is joined to it."""
    return (union(*listed) if len(listed) > 1 else listed[0].distinct()).subquery()


def leaves(frame: Frame, criterion: Criterion, kind: str, names: Names) -> list[Select[Any]]:
    """The lists at the ends of a criterion's steps, where it begins."""
    if isinstance(criterion, Chain):
        return [one for target, inner in criterion.branches for one in leaves(frame, inner, target, names)]
    if isinstance(criterion, Has):
        return leaves(frame, criterion.inner, criterion.source, names)
    if isinstance(criterion, AnyOf):
        return [one for part in criterion.parts for one in leaves(frame, part, kind, names)]
    if isinstance(criterion, AllOf):
        first = _start(criterion)
        return leaves(frame, criterion.parts[first], kind, names.split(criterion.parts)[first])
    return keys(frame, criterion, kind, names)
