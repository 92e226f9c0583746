"""Strings: the beginning of any part, letter case and accents set aside.  https://hl7.org/fhir/R4/search.html#string"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.fhir.errors import BadValue
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import LONGEST, clip, fold, next_text, shown, unescape
from fhir_server.store.tables import string

_PREFIXED = re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)\d[\d.:TZ+-]*")
_WILD = re.compile(r"([%_/])")
_NAME = ("text", "family", "given", "prefix", "suffix")
_NAME_JOINED = ("prefix", "given", "family", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")
_ADDRESS_JOINED = _ADDRESS[1:]


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """A beginning, a part (:contains) or the whole (:exact); BadValue if nothing is left to compare."""
    value = unescape(text)
    if asked.modifier == "exact":
        return (Term("exact", (fold(value)[:LONGEST], clip(value))),)
    folded = fold(value)
    if not folded or len(folded) > LONGEST:
        raise BadValue(f"{asked.name}: give between 1 and {LONGEST} characters to look for")
    if asked.modifier == "contains":
        escaped = _WILD.sub(r"/\1", folded)
        return (Term("contains", (f"%{escaped}%",)),)
    if _PREFIXED.fullmatch(value):
        raise BadValue(
            f"{asked.name}: {shown(value)} begins with a prefix, but text has no order; use :exact for literal text"
        )
    return (Term("prefix", (folded, next_text(folded))),)


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row fits one of the terms."""
    if op == "contains":
        return or_(*[row.c.norm.like(binds[0], escape="/") for binds in terms])
    if op == "exact":
        whole = or_(*[and_(row.c.norm == binds[0], row.c.raw == binds[1]) for binds in terms])
        return and_(row.c.norm.in_([binds[0] for binds in terms]), whole)
    return or_(*[and_(row.c.norm >= binds[0], row.c.norm < binds[1]) for binds in terms])


def _text(rows: Adders, param: int, value: str) -> None:
    if len(value) <= LONGEST and value.isascii():  # as nearly all are: folded and kept as they are
        rows.string((param, " ".join(value.lower().split()), value))
    else:
        rows.string((param, fold(value)[:LONGEST], clip(value)))


def _parts(value: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name in names:
        part = value.get(name)
        if part.__class__ is list:
            found += [item for item in part if item]
        elif part:
            found.append(part)
    return found


def _name(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    _composed(rows, param, value, _NAME, _NAME_JOINED)


def _address(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    _composed(rows, param, value, _ADDRESS, _ADDRESS_JOINED)


def _composed(
    rows: Adders, param: int, value: Mapping[str, Any], names: tuple[str, ...], joined: tuple[str, ...]
) -> None:
    for part in _parts(value, names):
        _text(rows, param, part)
    whole = " ".join(_parts(value, joined))
    if whole:
        _text(rows, param, whole)


def _converters(_site: Site) -> Mapping[str, Converter]:
    plain = dict.fromkeys(("string", "markdown", "code", "id", "uri", "url", "canonical"), _text)
    return {**plain, "HumanName": _name, "Address": _address}


TYPE = SearchType(
    name="string",
    table=string,
    modifiers=frozenset({"exact", "contains"}),
    parse=parse,
    clause=clause,
    converters=_converters,
    ordered=frozenset({"exact"}),
    single=frozenset({"exact"}),
    sort="norm",
)
