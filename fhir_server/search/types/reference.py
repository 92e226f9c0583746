"""References: to a resource of ours in any of its spellings, or to anything else as written.

A logical reference (an identifier alone) is indexed as a token under "<code>:identifier", for the modifier of that
name. An element that refers to nothing that can be looked up leaves an empty token there, so that :missing is right.
https://hl7.org/fhir/R4/search.html#reference
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause

from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.memory import remembered
from fhir_server.fhir.values import parse_reference, split_canonical
from fhir_server.search.expression import reference_targets
from fhir_server.search.local import MARK
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import clip, shown, unescape
from fhir_server.store.hashing import rh, system_hash
from fhir_server.store.tables import ref

Key = tuple[int, int, str]  # parameter, parameter for logical references, the only type that counts ("" = any)

MOST_TYPES = 12  # an id alone is looked up as a resource of at most so many types

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_ELSEWHERE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S+")


@remembered(65536)
def identity(text: str, base: str) -> tuple[str, int]:
    """(resource type or "", hash) of a literal reference; ours lose base and version, others stay as written."""
    parsed = parse_reference(text)
    if parsed is None:
        return "", rh(text)
    if parsed.base and parsed.base.rstrip("/") != base.rstrip("/"):
        return parsed.type, rh(text)
    return parsed.type, rh(f"{parsed.type}/{parsed.id}")


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """Type/id, an id, or a URL; BadValue for anything else, and for an id alone where it could be of many types."""
    value = unescape(text)
    if _ID.fullmatch(value):
        return tuple(Term("eq", (rh(f"{kind}/{value}"),)) for kind in _types_of_id(asked))
    parsed = parse_reference(value)
    if asked.modifier and (parsed is None or parsed.type != asked.modifier):
        raise BadValue(f"{asked.name}: {shown(text)} is no id of a {asked.modifier}")
    if parsed and parsed.type in asked.site.definitions.types:
        return (Term("eq", (identity(value, asked.site.base)[1],)),)
    if _ELSEWHERE.fullmatch(value):
        return (Term("eq", (rh(value),)),)
    raise BadValue(f"{asked.name}: {shown(text)} is no reference; write Type/id, an id, or an absolute URL")


def _types_of_id(asked: Asked) -> tuple[str, ...]:
    if asked.modifier:
        return (asked.modifier,)
    types = reference_targets(asked.site.definitions, asked.param)
    if len(types) > MOST_TYPES:
        raise BadValue(f"{asked.name} can refer to resources of many types; write Type/id, or {asked.name}:Type=id")
    return types


def clause(row: FromClause, _op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a posting row fits one of the terms; there is one comparison only."""
    return row.c.tgt.in_([binds[0] for binds in terms])


def _logical(rows: Adders, key: Key, value: Mapping[str, Any], found: bool) -> None:  # noqa: FBT001
    name = value.get("identifier")
    if name:
        rows.tok((key[1], clip(name.get("value", "")), system_hash(name.get("system", ""))))
    elif not found:
        text = value.get("reference", "")
        rows.tok((key[1], MARK + text[1:] if text.startswith("#") else "", 0))


def _is_inside(text: str) -> bool:
    """Whether a reference is to something contained: of what type that is, who looks for it will see."""
    return text.startswith("#") and len(text) > 1


def _canonical(rows: Adders, key: Key, value: str) -> None:
    if value.startswith("#"):
        rows.tok((key[1], "", 0))
        return
    rows.ref((key[0], rh(value)))
    rows.ref((key[0], rh(split_canonical(value)[0])))
    rows.uri((key[1], clip(value)))  # for :below, which asks how it begins


def _uri(rows: Adders, key: Key, value: str) -> None:
    rows.ref((key[0], rh(value)))


def _resource(rows: Adders, key: Key, value: Mapping[str, Any]) -> None:
    if "id" in value:
        rows.ref((key[0], rh(f"{value['resourceType']}/{value['id']}")))


def _converters(site: Site) -> Mapping[str, Converter]:
    base = site.base

    def reference(rows: Adders, key: Key, value: Mapping[str, Any]) -> None:
        text = value.get("reference", "")
        literal = text and not text.startswith("#")
        kind, target = identity(text, base) if literal else ("", 0)
        if key[2] and (kind or value.get("type", "").rpartition("/")[2]) != key[2] and not _is_inside(text):
            return
        if literal:
            rows.ref((key[0], target))
        _logical(rows, key, value, bool(literal))

    return {
        "Reference": reference,
        "canonical": _canonical,
        "uri": _uri,
        "url": _uri,
        "Resource": _resource,
    }


TYPE = SearchType(
    name="reference",
    table=ref,
    modifiers=frozenset({"above", "below", "identifier"}),
    parse=parse,
    clause=clause,
    converters=_converters,
    ordered=frozenset({"eq"}),
    single=frozenset({"eq"}),
    sort="tgt",
)
