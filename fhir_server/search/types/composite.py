"""Composites: `first$second`, all true of one and the same element.  https://hl7.org/fhir/R4/search.html#composite"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.search.model import Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.pairs import parts_of, seen
from fhir_server.search.text import shown, split
from fhir_server.search.types import search_types
from fhir_server.store.tables import comp

_FIELDS = 3  # of what a comparison says of each part: how many values it binds, its search type, its own comparison


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """`first$second` or `first$second$third`, each as its own parameter writes it; BadValue if a part cannot be."""
    params = parts_of(asked.site.definitions, asked.type, asked.param.code)
    if params is None:
        raise NotSupported(f"this server does not offer the composite parameter {shown(asked.param.code)}")
    parts = split(text, "$")
    if len(parts) != len(params) or not all(part.strip() for part in parts):
        form = "first$second$third" if len(params) > 2 else "first$second"  # noqa: PLR2004 - a pair
        raise BadValue(
            f"{asked.name}: {shown(text)} is not of the form {form}; a $ in a value has a backslash before it"
        )
    terms = [
        search_types()[param.type].parse(part, Asked(asked.site, asked.type, param, asked.name))
        for param, part in zip(params, parts, strict=True)
    ]
    return tuple(_joined([param.type for param in params], together) for together in product(*terms))


def _joined(kinds: Sequence[str], terms: Sequence[Term]) -> Term:
    told = [f"{len(term.values)}${kind}${term.op}" for kind, term in zip(kinds, terms, strict=True)]
    return Term("$".join(told), tuple(value for term in terms for value in term.values))


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row fits one of the terms, in all of its values."""
    words = op.split("$")
    parts = [(int(size), kind, own) for size, kind, own in zip(*[iter(words)] * _FIELDS, strict=True)]
    rows = [row, *seen(row, [kind for _, kind, _ in parts[1:]])]
    return or_(*[and_(*_each(rows, parts, iter(binds))) for binds in terms])


def _each(rows: Sequence[Any], parts: Sequence[tuple[int, str, str]], binds: Iterator[Any]) -> Iterator[Any]:
    for one, (size, kind, op) in zip(rows, parts, strict=True):
        yield search_types()[kind].clause(one, op, [list(islice(binds, size))])


def _converters(_site: Site) -> Mapping[str, Converter]:
    return {}  # pairs are made element by element, see search.pairs


TYPE = SearchType(
    name="composite",
    table=comp,
    modifiers=frozenset(),
    parse=parse,
    clause=clause,
    converters=_converters,
    sort="val",
)
