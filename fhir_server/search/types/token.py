"""Tokens: codes, identifiers and other exact values, with or without a system.

Compared exactly, letter case included, save where letter case says nothing (search.letters). A `code` element is stored
without system; a system in the query fits it if R4 binds the element to a value set that draws on that system.
https://hl7.org/fhir/R4/search.html#token
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.fhir.errors import BadValue
from fhir_server.search import letters
from fhir_server.search.expression import implied_systems
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import clip, shown, split, unescape
from fhir_server.search.types.string import index_text
from fhir_server.store.concepts import below
from fhir_server.store.hashing import system_hash
from fhir_server.store.tables import tok

_PLAIN = ("code", "id", "uri", "url", "canonical", "oid", "uuid", "markdown", "date", "dateTime", "instant")
_MOST_PARTS = 2


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """`code`, `system|code`, `|code` or `system|`; BadValue for anything else."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) > _MOST_PARTS or not any(parts):
        raise BadValue(
            f"{asked.name}: {shown(text)} is no token; write code, system|code, |code or system| "
            "and put a backslash before a | that belongs to the value"
        )
    where = asked.site.definitions, asked.type, asked.param.expression
    if len(parts) == 1:
        return tuple(Term("code", (clip(form),)) for form in letters.of_any(*where, parts[0]))
    system, code = parts[0], letters.of_system(*where, *parts)
    if not code:
        return (Term("system", (system_hash(system),)),)
    if not system:
        return (Term("none", (clip(code),)),)
    both = Term("both", (clip(code), system_hash(system)))
    if asked.modifier in ("", "not") and system in implied_systems(*where):
        return (both, Term("none", (clip(code),)))
    return (both,)


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row fits one of the terms."""
    first = [binds[0] for binds in terms]
    if op == "system":
        return row.c.sys.in_(first)
    if op == "code":
        return row.c.val.in_(first)
    if op == "none":
        return and_(row.c.val.in_(first), row.c.sys == 0)
    if op == "under":
        spans = [and_(row.c.val >= start, row.c.val < end, row.c.sys == system) for start, end, system in terms]
        return or_(*spans)
    if op == "below":
        return or_(*[and_(row.c.sys == kind, row.c.val.in_(below(table, top))) for table, top, kind in terms])
    return and_(row.c.val.in_(first), or_(*[and_(row.c.val == binds[0], row.c.sys == binds[1]) for binds in terms]))


def _plain(rows: Adders, param: int, value: Any) -> None:
    rows.tok((param, clip(str(value)), 0))


def _boolean(rows: Adders, param: int, value: Any) -> None:
    rows.tok((param, "true" if value else "false", 0))


def _coding(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    system = value.get("system", "")
    rows.tok((param, clip(letters.code_of(system, value.get("code", ""))), system_hash(system)))


def _concept(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    codings = value.get("coding")
    if not codings:  # text alone: nothing to match, but the parameter is not missing
        rows.tok((param, "", 0))
        return
    for coding in codings:
        _coding(rows, param, coding)


def _string(rows: Adders, param: int, value: str) -> None:
    rows.tok((param, clip(letters.text_of(value)), 0))


def _contact(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    """The row of a ContactPoint: its value, within its system."""
    rows.tok((param, clip(letters.text_of(value.get("value", ""))), system_hash(value.get("system", ""))))


def identifier(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    """The row of an Identifier: its value, within its system."""
    rows.tok((param, clip(value.get("value", "")), system_hash(value.get("system", ""))))


def typed_value(type_code: str, value: str) -> str:
    """The code of a type and the value of an identifier as one text, for :of-type; no code can hold the separator."""
    return clip(f"{type_code}\x1f{value}")


def _typed(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    for coding in value.get("type", {}).get("coding", ()) if "value" in value else ():
        pair = typed_value(coding.get("code", ""), value["value"])
        rows.tok((param, pair, system_hash(coding.get("system", ""))))


def typed_converters() -> Mapping[str, Converter]:
    """Converters to the rows that :of-type asks."""
    return {"Identifier": _typed}


def _words(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    text = value.get("text")
    if text:
        index_text(rows, param, text)
    for coding in value.get("coding", ()):
        _display(rows, param, coding)


def _display(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    if "display" in value:
        index_text(rows, param, value["display"])


def _type_words(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    _words(rows, param, value.get("type", {}))


def text_converters() -> Mapping[str, Converter]:
    """Converters to the rows that :text asks: what a code, or the type of an identifier, is called."""
    return {"CodeableConcept": _words, "Coding": _display, "Identifier": _type_words}


def _converters(_site: Site) -> Mapping[str, Converter]:
    return {
        **dict.fromkeys(_PLAIN, _plain),
        "boolean": _boolean,
        "Coding": _coding,
        "CodeableConcept": _concept,
        "Identifier": identifier,
        "ContactPoint": _contact,
        "string": _string,
    }


TYPE = SearchType(
    name="token",
    table=tok,
    modifiers=frozenset({"not", "text", "of-type", "in", "not-in", "above", "below"}),
    parse=parse,
    clause=clause,
    converters=_converters,
    ordered=frozenset({"code", "both", "none"}),
    single=frozenset({"both", "none"}),
    sort="val",
)
