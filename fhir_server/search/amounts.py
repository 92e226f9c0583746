"""A quantity parameter and its values -> criteria: units of UCUM meet in their canonical unit, others as written."""

from fhir_server.search import decimals
from fhir_server.search.model import AnyOf, Asked, Criterion, Match, Term
from fhir_server.search.modifiers import CANONICAL
from fhir_server.search.text import clip, split, unescape
from fhir_server.search.types import search_types
from fhir_server.search.units import UCUM, unit

_WITH_UNIT = 3


def parse_amounts(asked: Asked, values: list[str]) -> Criterion:
    """The criterion that any of the values holds; BadValue for what is no quantity."""
    parse = search_types()["quantity"].parse
    written: list[Term] = []
    canonical: list[Term] = []
    for value in values:
        terms = parse(value, asked)
        found = _canonical(value, asked)
        (canonical if found else written).extend([found] if found else terms)
    kind, code = asked.type, asked.param.code
    lists = [Match(kind, name, "quantity", _padded(terms)) for name, terms in
             ((code, written), (code + CANONICAL, canonical)) if terms]  # fmt: skip
    return AnyOf(tuple(lists)) if len(lists) > 1 else lists[0]


def _canonical(value: str, asked: Asked) -> Term | None:
    parts = [unescape(part) for part in split(value, "|")]
    measure = unit(parts[2]) if len(parts) == _WITH_UNIT and parts[1] == UCUM else None
    if measure is None:
        return None
    number = decimals.asked(parts[0], asked.name)
    keys = tuple(decimals.key(measure.canonical(edge)) for edge in decimals.edges(number))
    return Term(f"{number.op} of canonical", (*keys, clip(measure.code)))


def _padded(terms: list[Term]) -> tuple[Term, ...]:
    found = sorted(dict.fromkeys(terms), key=lambda term: term.op)
    if len(found) > 1:  # as all lists of terms: to a power of two
        found += found[-1:] * ((1 << (len(found) - 1).bit_length()) - len(found))
    return tuple(found)
