"""Composites: `first$second`, both true of one and the same element.  https://hl7.org/fhir/R4/search.html#composite"""

from collections.abc import Mapping, Sequence
from itertools import product

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.search.model import Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.pairs import pair_of, second
from fhir_server.search.text import shown, split
from fhir_server.search.types import search_types
from fhir_server.store.tables import comp

_PARTS = 2


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """`first$second`, each as its own parameter writes it; BadValue if a part is missing or cannot be."""
    pair = pair_of(asked.site.definitions, asked.type, asked.param.code)
    if pair is None:
        raise NotSupported(f"this server does not offer the composite parameter {shown(asked.param.code)}")
    parts = split(text, "$")
    if len(parts) != _PARTS or not all(part.strip() for part in parts):
        raise BadValue(f"{asked.name}: {shown(text)} is no pair; write first$second, and a backslash before other $")
    terms = [
        search_types()[param.type].parse(part, Asked(asked.site, asked.type, param, asked.name))
        for param, part in zip(pair, parts, strict=True)
    ]
    return tuple(_joined(pair[1].type, one, other) for one, other in product(*terms))


def _joined(kind: str, one: Term, other: Term) -> Term:
    return Term(f"{len(one.values)}${one.op}${kind}${other.op}", (*one.values, *other.values))


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row fits one of the terms, in both of its values."""
    size, first, kind, then = op.split("$")
    token, other, seen = search_types()["token"], search_types()[kind], second(row, kind)
    return or_(
        *[
            and_(token.clause(row, first, [binds[: int(size)]]), other.clause(seen, then, [binds[int(size) :]]))
            for binds in terms
        ]
    )


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
