"""Two bounds of one date, `date=ge2026-03&date=lt2026-04`, as one comparison: then an index leads to what lies between.

That is the same only where a resource has at most one value of the parameter.
"""

from collections.abc import Iterable

from fhir_server.search.expression import is_single
from fhir_server.search.model import Criterion, Match, Site, Term


def joined(site: Site, criteria: Iterable[Criterion]) -> tuple[Criterion, ...]:
    """The criteria, those that bound the same date made into one."""
    found: dict[object, Criterion] = {}
    for number, criterion in enumerate(criteria):
        if not isinstance(criterion, Match) or not _is_bound(site, criterion):
            found[number] = criterion
            continue
        before = found.get(criterion.params)
        found[criterion.params] = _both(before, criterion) if isinstance(before, Match) else criterion
    return tuple(found.values())


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
