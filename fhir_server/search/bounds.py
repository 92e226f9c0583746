"""Bounds of dates, so that an index leads to what lies between them.

Two bounds of one date, `date=ge2026-03&date=lt2026-04`, are one comparison where a resource has at most one value of
the parameter. A point in time that begins before a bound and ends after it is wider than a day: a month, a year. Those
few have a list of their own; of the others only what begins within a day is looked at.
"""

from collections.abc import Iterable
from dataclasses import replace

from fhir_server.search.expression import is_single
from fhir_server.search.model import AnyOf, Criterion, Match, Site, Term
from fhir_server.search.modifiers import WIDE
from fhir_server.search.types.date import DAY, WIDEST


def joined(site: Site, criteria: Iterable[Criterion]) -> tuple[Criterion, ...]:
    """The criteria, those that bound the same date made into one."""
    found: dict[object, Criterion] = {}
    for number, criterion in enumerate(criteria):
        if not isinstance(criterion, Match) or not _is_bound(site, criterion):
            found[number] = criterion
            continue
        before = found.get(criterion.params)
        found[criterion.params] = _both(before, criterion) if isinstance(before, Match) else criterion
    return tuple(_split(criterion) for criterion in found.values())


def _split(criterion: Criterion) -> Criterion:
    """The narrow and the wide values of a date with a lower bound."""
    if not isinstance(criterion, Match) or criterion.kind != "date" or criterion.modifier:
        return criterion
    if not any("~" in term.op for term in criterion.terms):
        return criterion
    (kind, code), *others = [(kind, code + WIDE) for kind, code in criterion.params]
    wide = replace(criterion, type=kind, code=code, others=tuple(others))
    return AnyOf((replace(criterion, terms=tuple(map(_narrow, criterion.terms))), wide))


def _narrow(term: Term) -> Term:
    values, at = list(term.values), 0
    for op in term.op.split("&"):
        at += 2
        if op.endswith("~"):
            values[at] += WIDEST - DAY
            at += 1
    return replace(term, values=tuple(values))


def _is_bound(site: Site, match: Match) -> bool:
    if match.kind != "date" or match.modifier or len(match.terms) != 1:
        return False
    definitions = site.definitions
    return all(
        is_single(definitions, kind, definitions.search_params(kind)[code].expression) for kind, code in match.params
    )


def _both(first: Match, second: Match) -> Match:
    one, other = sorted([first.terms[0], second.terms[0]], key=lambda term: term.op)
    term = Term(f"{one.op}&{other.op}", (*one.values, *other.values))
    return Match(first.type, first.code, first.kind, (term,), others=first.others)
