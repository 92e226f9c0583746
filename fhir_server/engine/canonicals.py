"""Definitions that clients stored as resources, found by canonical URL: code systems, value sets, concept maps.

They belong to the directory, which everyone may read; they are read through a view that sees the directory alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from fhir_server.access.caller import Caller
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse
from fhir_server.fhir.values import parse_reference

if TYPE_CHECKING:
    from fhir_server.engine.context import Engine

_READER: Final = Caller("", "", 0, "operator", parse("system/*.rs"), "", operator=True)
_SEPARATORS: Final = re.compile(r"([,|$\\])")


def use(engine: Engine) -> None:
    """Let the engine's terminology find what clients stored."""
    engine.terminology.stored = partial(_newest, engine)


def _newest(engine: Engine, type_: str, canonical: str) -> Mapping[str, Any] | None:
    """The resource at this address, or with this URL (and version), that is not retired and was stored last."""
    own = parse_reference(canonical)
    if own and own.type == type_ and own.base.rstrip("/") in ("", engine.settings.base_url.rstrip("/")):
        found = _last(engine, type_, [("_id", own.id)])
        if found or not own.base:
            return found
    url, _, version = canonical.partition("|")
    criteria = [("url", _literal(url)), ("status:not", "retired"), ("_sort", "-_lastUpdated")]
    if version:
        criteria.append(("version", _literal(version)))
    return _last(engine, type_, criteria)


def _last(engine: Engine, type_: str, criteria: Sequence[tuple[str, str]]) -> Mapping[str, Any] | None:
    query = engine.searcher.parse(type_, criteria)
    view = Visible(_READER, engine.clock(), "s")
    hits = engine.searcher.match(engine.database.read(), query, view, limit=1)
    if not hits:
        return None
    found: Mapping[str, Any] = orjson.loads(hits[0].body)
    return found


def _literal(text: str) -> str:
    return _SEPARATORS.sub(r"\\\1", text)
