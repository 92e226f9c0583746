"""URIs: compared whole and exactly; a canonical is also found without its version.

https://hl7.org/fhir/R4/search.html#uri
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.fhir.values import split_canonical
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import clip, unescape
from fhir_server.store.tables import uri


def parse(text: str, _asked: Asked) -> tuple[Term, ...]:
    """The URI as written."""
    return (Term("eq", (clip(unescape(text)),)),)


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row fits one of the terms."""
    if op == "below":
        spans = [or_(row.c.val == url, and_(row.c.val >= start, row.c.val < end)) for url, start, end in terms]
        return or_(*spans)
    return row.c.val.in_([binds[0] for binds in terms])


def _uri(rows: Adders, param: int, value: str) -> None:
    rows.uri((param, clip(value)))


def _canonical(rows: Adders, param: int, value: str) -> None:
    rows.uri((param, clip(value)))
    rows.uri((param, clip(split_canonical(value)[0])))


def _converters(_site: Site) -> Mapping[str, Converter]:
    return {**dict.fromkeys(("uri", "url", "oid", "uuid"), _uri), "canonical": _canonical}


TYPE = SearchType(
    name="uri",
    table=uri,
    modifiers=frozenset({"above", "below"}),
    parse=parse,
    clause=clause,
    converters=_converters,
    ordered=frozenset({"eq"}),
    single=frozenset({"eq"}),
    sort="val",
)
