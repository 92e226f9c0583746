"""Strings: the beginning of any part; letter case, accents and punctuation set aside.

What a text also begins with has rows of its own, with no raw text, which :exact and _sort leave out: the text without
its punctuation, a name from its second word on, and further stretches of a long text, where :contains looks.
https://hl7.org/fhir/R4/search.html#string
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.fhir.errors import BadValue
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import LONGEST, bare, clip, fold, next_text, shown, unescape
from fhir_server.store.tables import string

_PREFIXED = re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)\d[\d.:TZ+-]*")
_SIGN = re.compile(r"[^a-z0-9 ]")
_STEP = LONGEST // 2  # as long as what :contains compares; each so long part of a text lies whole in some stretch of it
_MOST_INDEXED = 10_000
_MOST_NAMES = 10
_INNER = "\x1f"  # around what neither begins nor ends a text
_WILD = re.compile(r"([%_/])")
_NAME = ("text", "family", "given", "prefix", "suffix")
_OF_WORDS = ("family", "given")
_NAME_JOINED = ("prefix", "given", "family", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")
_ADDRESS_JOINED = _ADDRESS[1:]


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """A beginning, a part (:contains) or the whole (:exact); BadValue if nothing is left to compare."""
    value = unescape(text)
    if asked.modifier == "exact":
        return (Term("exact", (fold(value)[:LONGEST], clip(value))),)
    folded = fold(value)
    if not folded:
        raise BadValue(f"{asked.name}: give at least one character to look for")
    if asked.modifier == "contains":
        escaped = _WILD.sub(r"/\1", folded[:_STEP])
        return (Term("contains", (f"%{escaped}%",)),)
    if _PREFIXED.fullmatch(value):
        raise BadValue(
            f"{asked.name}: {shown(value)} begins with a prefix, but text has no order; use :exact for literal text"
        )
    starts = dict.fromkeys(one[:LONGEST] for one in (folded, bare(folded)) if one)
    return tuple(Term("prefix", (start, next_text(start))) for start in starts)


def clause(row: FromClause, op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row fits one of the terms."""
    if op == "contains":
        return or_(*[row.c.norm.like(binds[0], escape="/") for binds in terms])
    if op == "exact":
        whole = or_(*[and_(row.c.norm == binds[0], row.c.raw == binds[1]) for binds in terms])
        return and_(row.c.norm.in_([binds[0] for binds in terms]), whole)
    return or_(*[and_(row.c.norm >= binds[0], row.c.norm < binds[1]) for binds in terms])


def index_text(rows: Adders, param: int, value: str) -> None:
    """The rows of a text."""
    if len(value) <= LONGEST and value.isascii():  # as nearly all are: folded and kept as they are
        folded = " ".join(value.lower().split())
        rows.string((param, folded, value))
    else:
        folded = fold(value)
        rows.string((param, folded[:LONGEST], clip(value)))
        for start in range(_STEP, min(len(folded), _MOST_INDEXED) - _STEP, _STEP):
            rows.string((param, f"{_INNER}{folded[start : start + LONGEST]}{_INNER}", ""))
    if _SIGN.search(folded):
        _begins(rows, param, bare(folded))


def _begins(rows: Adders, param: int, start: str) -> None:
    if start:
        rows.string((param, start[:LONGEST], ""))


def _part_of_name(rows: Adders, param: int, value: str) -> None:
    """The rows of a family or given name, of which each word may be the one that is known: Quinones, Ann."""
    index_text(rows, param, value)
    _later_words(rows, param, value)


def _later_words(rows: Adders, param: int, value: str) -> None:
    if value.isalpha():
        return
    names = bare(fold(value)).split()[:_MOST_NAMES]
    for number in range(1, len(names)):
        _begins(rows, param, " ".join(names[number:]))


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
    for part in _parts(value, _OF_WORDS):
        _later_words(rows, param, part)


def _address(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    _composed(rows, param, value, _ADDRESS, _ADDRESS_JOINED)


def _composed(
    rows: Adders, param: int, value: Mapping[str, Any], names: tuple[str, ...], joined: tuple[str, ...]
) -> None:
    for part in _parts(value, names):
        index_text(rows, param, part)
    whole = " ".join(_parts(value, joined))
    if whole:
        index_text(rows, param, whole)


def _converters(_site: Site) -> Mapping[str, Converter]:
    plain = dict.fromkeys(("string", "markdown", "code", "id", "uri", "url", "canonical"), index_text)
    of_words = {f"HumanName_{part}": _part_of_name for part in _OF_WORDS}
    return {**plain, "HumanName": _name, **of_words, "Address": _address}


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
