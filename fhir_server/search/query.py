"""Search parameters as text -> a SearchQuery, or the error that says which of them cannot be.

https://hl7.org/fhir/R4/search.html
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import BadValue, NotSupported, TooCostly
from fhir_server.fhir.values import PACIFIC
from fhir_server.search.criteria import find_param, parse_criterion
from fhir_server.search.expression import reference_targets
from fhir_server.search.model import Criterion, Include, Match, SearchQuery, Site, SortKey, values
from fhir_server.search.text import shown
from fhir_server.search.types import search_types
from fhir_server.terminology.codes import Terminology

MOST_PARAMETERS = 50
MOST_INCLUDES = 10
MOST_SORT_KEYS = 5
MOST_BOUND_VALUES = 2048
LARGEST_PAGE = 200
PAGE = 50

_FIELD = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_SORT_OWN = {"_id": "id", "_lastUpdated": "instant"}


@dataclass(slots=True)
class _Draft:
    """A query in the making."""

    site: Site
    type: str
    criteria: list[Criterion] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    include_parameters: int = 0
    sort: tuple[SortKey, ...] = ()
    results: dict[str, Any] = field(default_factory=dict)
    used: list[tuple[str, str]] = field(default_factory=list)


def parse(
    definitions: Definitions,
    type: str,
    pairs: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    zone: tzinfo = PACIFIC,
    base: str = "",
    terminology: Terminology | None = None,
) -> SearchQuery:
    """The query that decoded `name=value` pairs ask on a resource type.

    NotSupported for what is unknown or not offered, BadValue for values that cannot be, TooCostly beyond the limits.
    With `lenient`, unknown names are left out and listed in `ignored`; bad values are never let pass.
    """
    if len(pairs) > MOST_PARAMETERS:
        raise TooCostly(f"a search may have {MOST_PARAMETERS} parameters; this one has {len(pairs)}")
    draft, ignored = _Draft(Site(definitions, zone, base, terminology), type), []
    for name, value in pairs:
        try:
            _read(draft, name, value)
        except NotSupported:
            if not lenient:
                raise
            ignored.append(name)
    return _finish(draft, tuple(ignored))


def _finish(draft: _Draft, ignored: tuple[str, ...]) -> SearchQuery:
    if sum(1 for criterion in draft.criteria for _ in values(criterion)) > MOST_BOUND_VALUES:
        raise TooCostly("all parameters together have too many values; ask in several searches")
    if draft.includes and draft.results.get("_summary") == "text":
        raise BadValue("_summary=text goes with no _include or _revinclude; leave one of them out")
    if "_count" not in draft.results:
        draft.used.append(("_count", str(PAGE)))
    return SearchQuery(
        type=draft.type,
        criteria=tuple(draft.criteria),
        sort=draft.sort or _natural_order(draft.criteria),
        includes=tuple(dict.fromkeys(draft.includes)),
        count=draft.results.get("_count", PAGE),
        total=draft.results.get("_total", "none"),
        summary=draft.results.get("_summary", "false"),
        fields=draft.results.get("_elements", ()),
        ignored=ignored,
        pairs=tuple(draft.used),
    )


def _natural_order(criteria: Sequence[Criterion]) -> tuple[SortKey, ...]:
    """Newest created first (no key), but last updated first where _lastUpdated is asked about: an index serves."""
    if any(isinstance(one, Match) and one.kind == "instant" and not one.modifier for one in criteria):
        return (SortKey("_lastUpdated", "instant", descending=True),)
    return ()


def _read(draft: _Draft, name: str, value: str) -> None:
    if not value.strip():
        raise BadValue(f"{shown(name)} has no value; leave it out or give one")
    head = name.partition(":")[0]
    if head in ("_include", "_revinclude"):
        _read_include(draft, name, value)
    elif name in _RESULT:
        value = _read_result(draft, name, value)
    elif name not in ("_format", "_pretty"):
        draft.criteria.append(parse_criterion(draft.site, draft.type, name, value))
    draft.used.append((name, value))


def _read_result(draft: _Draft, name: str, value: str) -> str:
    if name in draft.results:
        raise BadValue(f"{name} can be given once only")
    draft.results[name] = _RESULT[name](draft, value)
    return str(draft.results[name]) if name == "_count" else value


def _count(_draft: _Draft, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise BadValue(f"_count is a number from 0 to {LARGEST_PAGE}, not {shown(value)}")
    return min(int(value), LARGEST_PAGE)


def _total(_draft: _Draft, value: str) -> str:
    if value not in ("none", "estimate", "accurate"):
        raise BadValue(f"_total is none, estimate or accurate, not {shown(value)}")
    return value


def _summary(_draft: _Draft, value: str) -> str:
    if value not in ("true", "text", "data", "count", "false"):
        raise BadValue(f"_summary is true, text, data, count or false, not {shown(value)}")
    return value


def _elements(_draft: _Draft, value: str) -> tuple[str, ...]:
    names = tuple(value.split(","))
    for name in names:
        if not _FIELD.fullmatch(name):
            raise BadValue(f"_elements lists element names between commas; {shown(name)} is none")
    return names


def _sort(draft: _Draft, value: str) -> tuple[SortKey, ...]:
    words = value.split(",")
    if len(words) > MOST_SORT_KEYS:
        raise TooCostly(f"_sort takes {MOST_SORT_KEYS} keys at most")
    draft.sort = tuple(_sort_key(draft, word) for word in words)
    return draft.sort


def _sort_key(draft: _Draft, word: str) -> SortKey:
    code = word.removeprefix("-")
    if not code:
        raise BadValue("_sort lists search parameters between commas, each with a - before it for descending order")
    param = find_param(draft.site, draft.type, code)
    kind = _SORT_OWN.get(code, param.type)
    if kind == param.type and not search_types()[kind].sort:
        raise NotSupported(f"results cannot be sorted by {shown(code)}: {kind} parameters have no order here")
    return SortKey(code, kind, word.startswith("-"))


_RESULT: dict[str, Callable[[_Draft, str], Any]] = {
    "_count": _count,
    "_total": _total,
    "_summary": _summary,
    "_elements": _elements,
    "_sort": _sort,
}


def _read_include(draft: _Draft, name: str, value: str) -> None:
    head, _, modifier = name.partition(":")
    if modifier not in ("", "iterate"):
        raise NotSupported(f"{shown(name)}: the only modifier of {head} is :iterate")
    draft.include_parameters += 1
    if draft.include_parameters > MOST_INCLUDES:
        raise TooCostly(f"a search may have {MOST_INCLUDES} includes")
    if value in ("*", f"{draft.type}:*") and head == "_include":
        draft.includes += _every_reference(draft, iterate=bool(modifier))
        return
    draft.includes.append(_include(draft, value, iterate=bool(modifier), reverse=head == "_revinclude"))


def _every_reference(draft: _Draft, *, iterate: bool) -> list[Include]:
    params = draft.site.definitions.search_params(draft.type)
    codes = sorted(code for code, param in params.items() if param.type == "reference")
    return [Include(draft.type, code, "", iterate, reverse=False) for code in codes]


def _include(draft: _Draft, value: str, *, iterate: bool, reverse: bool) -> Include:
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if source not in draft.site.definitions.types:
        raise NotSupported(
            f"{shown(value)} begins with no resource type; write Type:parameter or Type:parameter:Target"
        )
    param = find_param(draft.site, source, code)
    types = reference_targets(draft.site.definitions, param) if param.type == "reference" else ()
    if not types or (target and target not in types):
        raise NotSupported(f"{shown(value)} names no reference that can be followed")
    return Include(source, code, target, iterate, reverse)
