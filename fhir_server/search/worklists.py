"""Questions to worklists: which searches are about one, and how its list is walked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from sqlalchemy import BigInteger, ColumnElement, FromClause, literal

from fhir_server.search.frame import Frame, Names, number
from fhir_server.search.model import Binds, Criterion, Match, SortKey, Term
from fhir_server.search.queues import NAME, QUEUES, clause
from fhir_server.search.types.date import OPEN_END, OPEN_START
from fhir_server.store.resources import TENANT
from fhir_server.store.tables import comp

MOST_TERMS = 16

_APART = ({"eq"}, {"code"}, {"both"}, {"none"}, {"both", "none"})  # comparisons that find no row twice


def joined(kind: str, sort: Sequence[SortKey], criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
    """The criteria, those on whose queue and on which status made into one.

    In the default order whose queue it is stays beside it: that list is the one to walk where the queue is long.
    """
    queue = QUEUES.get(kind)
    owner, status = (_asked(criteria, kind, code) for code in (queue.reference, queue.token)) if queue else (None, None)
    if not (queue and owner and status) or len(owner.terms) * len(status.terms) > MOST_TERMS:
        return criteria
    pairs = product(dict.fromkeys(status.terms), dict.fromkeys(owner.terms))
    terms = tuple(Term(one.op, (*one.values, str(other.values[0]))) for one, other in pairs)
    told = (owner, status) if sort else (status,)
    others = tuple(one for one in criteria if one not in told)
    return (Match(kind, queue.code, NAME, terms), *others)


def _asked(criteria: Sequence[Criterion], kind: str, code: str) -> Match | None:
    """The one criterion on a parameter, if it names values and no two of them can be found in one row."""
    found = [one for one in criteria if isinstance(one, Match) and one.params == ((kind, code),)]
    if len(found) != 1 or found[0].modifier:
        return None
    return found[0] if {term.op for term in found[0].terms} in _APART else None


def is_ordered(criterion: Criterion, sort: Sequence[SortKey]) -> bool:
    """Whether a queue is asked for in its own order."""
    if not isinstance(criterion, Match) or criterion.kind != NAME or len(sort) != 1:
        return False
    return not sort[0].via and sort[0].params == ((criterion.type, QUEUES[criterion.type].date),)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the list that is in order: its rows, their conditions, and the value that orders them."""

    row: FromClause
    where: tuple[ColumnElement[bool], ...]
    value: ColumnElement[int]


def stretches(frame: Frame, match: Match, names: Names, *, descending: bool) -> Iterator[Stretch]:
    """What together is the queue; rows without a date come last in both directions."""
    none, last = (literal(one, BigInteger()) for one in (OPEN_START, OPEN_END))
    for term in match.terms:
        binds = names.take(term)
        one = _stretch(frame, match, term.op, binds)
        if descending:
            yield one
            continue
        yield replace(one, where=(*one.where, one.value > none))
        one = _stretch(frame, match, term.op, binds)
        yield replace(one, where=(*one.where, one.value == none), value=last)


def _stretch(frame: Frame, match: Match, op: str, binds: Binds) -> Stretch:
    row = comp.alias()
    where = frame.param(row, *match.params), clause(row, op, [binds]), row.c.tenant == number(TENANT)
    return Stretch(row, where, row.c.number1)
