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
from fhir_server.search import worklists
from fhir_server.search.across import compartment, parse_across, types_of
from fhir_server.search.bounds import joined
from fhir_server.search.canonicals import is_canonical
from fhir_server.search.criteria import find_param, parse_criterion, require_followed
from fhir_server.search.expression import reference_targets
from fhir_server.search.filters import parse_filter
from fhir_server.search.model import Criterion, Include, Match, SearchQuery, Site, SortKey, values
from fhir_server.search.sorting import sort_keys
from fhir_server.search.text import shown
from fhir_server.terminology.codes import Terminology

MOST_PARAMETERS = 50
MOST_INCLUDES = 10
MOST_BOUND_VALUES = 2048
LARGEST_PAGE = 200
PAGE = 50

_DECISIVE = frozenset({"_query", "_contained", "_containedType"})  # without them it would be another question
_FIELD = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


@dataclass(slots=True)
class _Draft:
    """A query in the making."""

    site: Site
    type: str
    types: tuple[str, ...] = ()
    criteria: list[Criterion] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    include_parameters: int = 0
    sort: tuple[SortKey, ...] = ()
    results: dict[str, Any] = field(default_factory=dict)
    used: list[tuple[str, str]] = field(default_factory=list)

    @property
    def searched(self) -> tuple[str, ...]:
        """The types searched, each by name."""
        return (self.type,) if self.type else self.types or self.site.definitions.types


def parse(
    definitions: Definitions,
    type: str,
    pairs: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    within: str = "",
    zone: tzinfo = PACIFIC,
    base: str = "",
    terminology: Terminology | None = None,
) -> SearchQuery:
    """The query that decoded `name=value` pairs ask on a resource type, or ("") on those that _type names.

    `within` narrows it to a compartment, such as Patient/1.
    NotSupported for what is unknown or not offered, BadValue for values that cannot be, TooCostly beyond the limits.
    With `lenient`, unknown names are left out and listed in `ignored`; bad values are never let pass, nor is a name
    without which something else would be asked.
    """
    if len(pairs) > MOST_PARAMETERS:
        raise TooCostly(f"a search may have {MOST_PARAMETERS} parameters; this one has {len(pairs)}")
    draft, ignored = _Draft(Site(definitions, zone, base, terminology), type), []
    if not type:
        draft.types = types_of(draft.site, pairs)
    if within:
        draft.criteria.append(compartment(definitions, within, (type,) if type else draft.types))
    for name, value in pairs:
        try:
            _read(draft, name, value)
        except NotSupported:
            if not lenient or name in _DECISIVE:
                raise
            ignored.append(name)
    return _finish(draft, tuple(ignored), within)


def _finish(draft: _Draft, ignored: tuple[str, ...], within: str) -> SearchQuery:
    if sum(1 for criterion in draft.criteria for _ in values(criterion)) > MOST_BOUND_VALUES:
        raise TooCostly("all parameters together have too many values; ask in several searches")
    if draft.includes and draft.results.get("_summary") == "text":
        raise BadValue("_summary=text goes with no _include or _revinclude; leave one of them out")
    _check_contained(draft, within)
    if "_count" not in draft.results:
        draft.used.append(("_count", str(PAGE)))
    return SearchQuery(
        type=draft.type,
        types=draft.types,
        within=within,
        criteria=worklists.joined(draft.type, draft.sort, joined(draft.site, draft.criteria)),
        sort=draft.sort or _natural_order(draft),
        includes=tuple(dict.fromkeys(draft.includes)),
        count=draft.results.get("_count", PAGE),
        total=draft.results.get("_total", "none"),
        summary=draft.results.get("_summary", "false"),
        fields=draft.results.get("_elements", ()),
        contained=draft.results.get("_contained", "false"),
        contained_type=draft.results.get("_containedType", "container"),
        ignored=ignored,
        pairs=tuple(draft.used),
    )


def _check_contained(draft: _Draft, within: str) -> None:
    """NotSupported where it is not said what a search among contained resources would be."""
    if draft.results.get("_contained", "false") == "false":
        return
    if within or not draft.type:
        raise NotSupported("contained resources are searched by their type, as in Medication?_contained=true")
    containers = draft.results.get("_containedType", "container") == "container"
    if containers and any(key.kind != "instant" or key.via for key in draft.sort):
        raise NotSupported(
            "containers are sorted by _lastUpdated alone, for several of what they hold may match; "
            "contained resources are sorted by any parameter: add _containedType=contained"
        )


def _natural_order(draft: _Draft) -> tuple[SortKey, ...]:
    """Newest created first (no key), but last updated first where _lastUpdated is asked about: an index serves."""
    timed = any(isinstance(one, Match) and one.kind == "instant" and not one.modifier for one in draft.criteria)
    if timed and (draft.type or draft.types):
        return (SortKey((), "instant", descending=True),)
    return ()


def _read(draft: _Draft, name: str, value: str) -> None:
    if not value.strip():
        raise BadValue(f"{shown(name)} has no value; leave it out or give one")
    head = name.partition(":")[0]
    if head in ("_include", "_revinclude"):
        _read_include(draft, name, value)
    elif name in _RESULT:
        value = _read_result(draft, name, value)
    elif not _is_told_elsewhere(draft, name):
        draft.criteria.append(_criterion(draft, name, value))
    draft.used.append((name, value))


def _is_told_elsewhere(draft: _Draft, name: str) -> bool:
    return name in ("_format", "_pretty") or (name == "_type" and not draft.type)


def _criterion(draft: _Draft, name: str, value: str) -> Criterion:
    if draft.type and name == "_filter":
        return parse_filter(draft.site, draft.type, value)
    if draft.type:
        return parse_criterion(draft.site, draft.type, name, value)
    return parse_across(draft.site, draft.types, name, value)


def _read_result(draft: _Draft, name: str, value: str) -> str:
    if name in draft.results and name != "_sort":
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
    draft.sort += sort_keys(draft.site, draft.searched, value, len(draft.sort))
    return draft.sort


def _contained(_draft: _Draft, value: str) -> str:
    if value not in ("false", "true", "both"):
        raise BadValue(f"_contained is false, true or both, not {shown(value)}")
    return value


def _contained_type(_draft: _Draft, value: str) -> str:
    if value not in ("container", "contained"):
        raise BadValue(f"_containedType is container or contained, not {shown(value)}")
    return value


_RESULT: dict[str, Callable[[_Draft, str], Any]] = {
    "_count": _count,
    "_total": _total,
    "_summary": _summary,
    "_elements": _elements,
    "_sort": _sort,
    "_contained": _contained,
    "_containedType": _contained_type,
}


def _read_include(draft: _Draft, name: str, value: str) -> None:
    head, _, modifier = name.partition(":")
    if modifier not in ("", "iterate"):
        raise NotSupported(f"{shown(name)}: the only modifier of {head} is :iterate")
    draft.include_parameters += 1
    if draft.include_parameters > MOST_INCLUDES:
        raise TooCostly(f"a search may have {MOST_INCLUDES} includes")
    source, star, _ = value.partition("*")
    if star and value in ("*", "*:*", f"{source.rstrip(':')}:*"):
        draft.includes += _every_reference(draft, source[:-1], iterate=bool(modifier), reverse=head == "_revinclude")
        return
    draft.includes.append(_include(draft, value, iterate=bool(modifier), reverse=head == "_revinclude"))


def _every_reference(draft: _Draft, source: str, *, iterate: bool, reverse: bool) -> list[Include]:
    """Every reference of a type, or of all that may count; backwards only those that can lead to what is searched."""
    definitions, searched = draft.site.definitions, set(draft.searched)
    if source and source not in (definitions.types if reverse or iterate else draft.searched):
        raise NotSupported(f"{shown(source)} is no resource type whose references can be followed here")
    sources = (source,) if source else definitions.types if reverse else draft.searched
    return [
        Include(kind, code, "", iterate, reverse)
        for kind in sources
        for code, param in sorted(definitions.search_params(kind).items())
        if param.type == "reference"
        and not is_canonical(definitions, kind, param)
        and (not reverse or iterate or not searched.isdisjoint(reference_targets(definitions, param)))
    ]


def _include(draft: _Draft, value: str, *, iterate: bool, reverse: bool) -> Include:
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if source not in draft.site.definitions.types:
        raise NotSupported(
            f"{shown(value)} begins with no resource type; write Type:parameter or Type:parameter:Target"
        )
    param = find_param(draft.site, source, code)
    require_followed(draft.site, source, param)
    types = reference_targets(draft.site.definitions, param) if param.type == "reference" else ()
    if not types or (target and target not in types):
        raise NotSupported(f"{shown(value)} names no reference that can be followed")
    return Include(source, code, target, iterate, reverse)
